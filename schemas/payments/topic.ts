import { topic } from '../../src/define/topic.ts'

export const payments = topic({ name: 'payments', subject: 'paymentId', partitions: 3, joinsOn: 'leadId' })
