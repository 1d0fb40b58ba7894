import { performance } from 'node:perf_hooks'
import { createClient } from '@clickhouse/client'
import { Kafka, logLevel } from 'kafkajs'
import { taskInput, tell } from '../task.ts'
import { type Attendance, attendanceSchema } from '../workload.ts'

export interface UsualJsonRowsInput {
  readonly brokers: readonly string[]
  readonly topic: string
  readonly clickhouseUrl: string
  readonly records: number
  readonly measureMs: number
}

/** How one writes it without embudo: kafkajs `eachBatch`, avsc, and the batch's rows as JSONEachRow. */
const { brokers, topic, clickhouseUrl, records, measureMs } = taskInput<UsualJsonRowsInput>()
const clickhouse = createClient({ url: clickhouseUrl })
await clickhouse.command({ query: 'drop table if exists usual_events' })
await clickhouse.command({
  query: `create table usual_events (event_id String, time String, partition UInt32, offset UInt64, leadId String,
    webinarId String, attendanceDuration Int64, engagementScore Nullable(Float64)) engine = MergeTree order by (leadId, time)`,
})
const type = attendanceSchema()
const kafka = new Kafka({ brokers: [...brokers], clientId: 'usual-json-rows', logLevel: logLevel.NOTHING })
const consumer = kafka.consumer({ groupId: `usual-json-rows-${process.pid}` })
await consumer.connect()
await consumer.subscribe({ topic, fromBeginning: true })

let inserted = 0
let startedAt: number | undefined
await consumer.run({
  eachBatch: async ({ batch }) => {
    startedAt ??= performance.now()
    const values = batch.messages.map(({ value, headers, offset }) => ({
      event_id: headers?.ce_id?.toString(),
      time: headers?.ce_time?.toString(),
      partition: batch.partition,
      offset,
      ...(type.fromBuffer(value!.subarray(5)) as Attendance),
    }))
    await clickhouse.insert({ table: 'usual_events', values, format: 'JSONEachRow' })
    inserted += values.length
    const elapsed = performance.now() - startedAt
    if (inserted >= records || elapsed >= measureMs) tell({ perSecond: inserted / (elapsed / 1000) })
  },
})
