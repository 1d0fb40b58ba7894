import { topic } from '../../src/define/topic.ts'

export const learners = topic({ name: 'learners', subject: 'userId', partitions: 3, joinsOn: 'leadId' })
