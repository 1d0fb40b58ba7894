import { topic } from '../../src/define/topic.ts'

export const leads = topic({ name: 'leads', subject: 'leadId', partitions: 6 })
