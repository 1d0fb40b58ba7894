import { randomUUID } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import { kafkaLog } from '../../../src/log/kafka-log.ts'
import { type AppendRecord, partitionFor } from '../../../src/log/port.ts'
import { taskInput, tell } from '../task.ts'
import { attendanceAt, attendanceSchema, framed, workload } from '../workload.ts'

export interface AppendInput {
  readonly brokers: readonly string[]
  readonly topic: string
  readonly partitions: number
  readonly schemaId: number
  readonly records: number
}

export interface AppendResult {
  readonly perSecond: number
  /** Key, value and headers. */
  readonly bytesPerRecord: number
}

/** embudo's log, handed records that are encoded already: what ingestion hands it. */
const { brokers, topic, partitions, schemaId, records } = taskInput<AppendInput>()
const recordsPerCall = 2_000
const callsInFlight = 4

const type = attendanceSchema()
const time = new Date().toISOString()
const recordAt = (index: number): AppendRecord => {
  const data = attendanceAt(index)
  const key = Buffer.from(data.leadId)
  return {
    topic,
    partition: partitionFor(key, partitions),
    key,
    value: framed(schemaId, type.toBuffer(data)),
    headers: [
      ['ce_specversion', '1.0'],
      ['ce_id', randomUUID()],
      ['ce_source', 'bench'],
      ['ce_type', workload.type],
      ['ce_time', time],
      ['ce_dataschema', `${workload.type}/1`],
      ['content-type', 'application/avro'],
    ],
  }
}

const calls = Array.from({ length: Math.ceil(Math.min(records, 200_000) / recordsPerCall) }, (_, call) =>
  Array.from({ length: recordsPerCall }, (_, index) => recordAt(call * recordsPerCall + index)),
)
const bytes = calls[0]!.reduce(
  (sum, { key, value, headers }) =>
    sum +
    key.length +
    value.length +
    headers.reduce((size, [name, text]) => size + name.length + text.length, 0),
  0,
)

await using log = await kafkaLog({ brokers, clientId: 'embudo-bench' })
let called = 0
const append = async (): Promise<void> => {
  while (called * recordsPerCall < records) {
    const outcomes = await log.append(calls[called++ % calls.length]!)
    const failure = outcomes.find((outcome) => 'failed' in outcome)
    if (failure !== undefined) throw new Error(JSON.stringify(failure))
  }
}

await log.append(calls[0]!)
const startedAt = performance.now()
await Promise.all(Array.from({ length: callsInFlight }, append))
const seconds = (performance.now() - startedAt) / 1000
tell({
  perSecond: (called * recordsPerCall) / seconds,
  bytesPerRecord: Math.round(bytes / recordsPerCall),
} satisfies AppendResult)
