import { topic } from '../../src/define/topic.ts'

export const enrollments = topic({
  name: 'enrollments',
  subject: 'enrollmentId',
  partitions: 3,
  joinsOn: 'leadId',
})
