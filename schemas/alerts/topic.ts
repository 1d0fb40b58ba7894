import { topic } from '../../src/define/topic.ts'

export const alerts = topic({ name: 'alerts', subject: 'alertId', partitions: 1 })
