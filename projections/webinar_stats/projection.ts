import { leads } from '../../schemas/leads/topic.ts'
import { max, min, sum, tally } from '../../src/define/tally.ts'

/** How each webinar went. */
export default tally({
  name: 'webinar_stats',
  version: 1,
  topic: leads,
  columns: {
    webinar_id: 'text primary key',
    attendances: 'bigint not null default 0',
    attendance_seconds: 'bigint not null default 0',
    longest_seconds: 'bigint',
    first_attended_at: 'timestamptz',
    last_attended_at: 'timestamptz',
  },
  measures: {
    attendances: sum,
    attendance_seconds: sum,
    longest_seconds: max,
    first_attended_at: min,
    last_attended_at: max,
  },
  count: {
    webinar_attended: ({ data, time }) => ({
      webinar_id: data.webinarId,
      attendances: 1,
      attendance_seconds: data.attendanceDuration,
      longest_seconds: data.attendanceDuration,
      first_attended_at: time,
      last_attended_at: time,
    }),
  },
})
