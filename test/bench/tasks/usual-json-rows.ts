import { createClient } from '@clickhouse/client'
import { taskInput } from '../task.ts'
import { type Attendance, attendanceSchema } from '../workload.ts'
import { type UsualReaderInput, usualReader } from './usual-reader.ts'

export interface UsualJsonRowsInput extends UsualReaderInput {
  readonly clickhouseUrl: string
}

/** How one writes it without embudo: kafkajs `eachBatch`, avsc, and the batch's rows as JSONEachRow. */
const input = taskInput<UsualJsonRowsInput>()
const clickhouse = createClient({ url: input.clickhouseUrl })
await clickhouse.command({ query: 'drop table if exists usual_events' })
await clickhouse.command({
  query: `create table usual_events (event_id String, time String, partition UInt32, offset UInt64, leadId String,
    webinarId String, attendanceDuration Int64, engagementScore Nullable(Float64)) engine = MergeTree order by (leadId, time)`,
})
const type = attendanceSchema()
const { consumer, begin, count } = await usualReader('usual-json-rows', input)
await consumer.run({
  eachBatch: async ({ batch }) => {
    begin()
    const values = batch.messages.map(({ value, headers, offset }) => ({
      event_id: headers?.ce_id?.toString(),
      time: headers?.ce_time?.toString(),
      partition: batch.partition,
      offset,
      ...(type.fromBuffer(value!.subarray(5)) as Attendance),
    }))
    await clickhouse.insert({ table: 'usual_events', values, format: 'JSONEachRow' })
    count(values.length)
  },
})
