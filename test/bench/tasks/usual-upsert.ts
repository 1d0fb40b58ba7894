import { performance } from 'node:perf_hooks'
import { Kafka, logLevel } from 'kafkajs'
import { Pool } from 'pg'
import { taskInput, tell } from '../task.ts'
import { type Attendance, attendanceSchema } from '../workload.ts'

export interface UsualUpsertInput {
  readonly brokers: readonly string[]
  readonly topic: string
  readonly databaseUrl: string
  /** Partitions whose messages are worked on side by side. */
  readonly atOnce: number
  readonly measureMs: number
}

/** How one writes it without embudo: kafkajs `eachMessage`, and one upsert each. */
const { brokers, topic, databaseUrl, atOnce, measureMs } = taskInput<UsualUpsertInput>()
const pool = new Pool({ connectionString: databaseUrl, max: atOnce })
await pool.query(
  `drop table if exists usual_profile;
   create table usual_profile (lead_id text primary key, attended bigint not null, seconds bigint not null, last_seen_at text)`,
)
const type = attendanceSchema()
const kafka = new Kafka({ brokers: [...brokers], clientId: 'usual-upsert', logLevel: logLevel.NOTHING })
const consumer = kafka.consumer({ groupId: `usual-upsert-${process.pid}` })
await consumer.connect()
await consumer.subscribe({ topic, fromBeginning: true })

let applied = 0
let startedAt: number | undefined
await consumer.run({
  partitionsConsumedConcurrently: atOnce,
  eachMessage: async ({ message }) => {
    startedAt ??= performance.now()
    const data = type.fromBuffer(message.value!.subarray(5)) as Attendance
    await pool.query({
      name: 'upsert',
      text: `insert into usual_profile as p values ($1, 1, $2, $3) on conflict (lead_id) do update
             set attended = p.attended + 1, seconds = p.seconds + excluded.seconds, last_seen_at = excluded.last_seen_at`,
      values: [data.leadId, data.attendanceDuration, message.headers?.ce_time?.toString()],
    })
    applied += 1
    const elapsed = performance.now() - startedAt
    if (elapsed >= measureMs) tell({ perSecond: applied / (elapsed / 1000) })
  },
})
