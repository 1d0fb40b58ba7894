import { topic } from '../../src/define/topic.ts'

export const content = topic({ name: 'content', subject: 'contentId', partitions: 3 })
