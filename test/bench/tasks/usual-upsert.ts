import { Pool } from 'pg'
import { taskInput } from '../task.ts'
import { type Attendance, attendanceSchema } from '../workload.ts'
import { type UsualReaderInput, usualReader } from './usual-reader.ts'

export interface UsualUpsertInput extends UsualReaderInput {
  readonly databaseUrl: string
  /** Partitions whose messages are worked on side by side. */
  readonly atOnce: number
}

/** How one writes it without embudo: kafkajs `eachMessage`, and one upsert each. */
const { databaseUrl, atOnce, ...input } = taskInput<UsualUpsertInput>()
const pool = new Pool({ connectionString: databaseUrl, max: atOnce })
await pool.query(
  `drop table if exists usual_profile;
   create table usual_profile (lead_id text primary key, attended bigint not null, seconds bigint not null, last_seen_at text)`,
)
const type = attendanceSchema()
const { consumer, begin, count } = await usualReader('usual-upsert', input)
await consumer.run({
  partitionsConsumedConcurrently: atOnce,
  eachMessage: async ({ message }) => {
    begin()
    const data = type.fromBuffer(message.value!.subarray(5)) as Attendance
    await pool.query({
      name: 'upsert',
      text: `insert into usual_profile as p values ($1, 1, $2, $3) on conflict (lead_id) do update
             set attended = p.attended + 1, seconds = p.seconds + excluded.seconds, last_seen_at = excluded.last_seen_at`,
      values: [data.leadId, data.attendanceDuration, message.headers?.ce_time?.toString()],
    })
    count(1)
  },
})
