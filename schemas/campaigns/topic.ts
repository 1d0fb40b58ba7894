import { topic } from '../../src/define/topic.ts'

export const campaigns = topic({ name: 'campaigns', subject: 'source', partitions: 1 })
