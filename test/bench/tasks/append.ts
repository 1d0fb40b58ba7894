import { performance } from 'node:perf_hooks'
import { kafkaLog } from '../../../src/log/kafka-log.ts'
import { bodyOf } from '../../../src/log/record-body.ts'
import { ownCpuMicros } from '../cpu.ts'
import { type Speed, taskInput, tell } from '../task.ts'
import { attendanceRecord } from '../workload.ts'

export interface AppendInput {
  readonly brokers: readonly string[]
  readonly topic: string
  readonly partitions: number
  readonly schemaId: number
  readonly records: number
}

export interface AppendResult extends Speed {
  /** Key, value and headers, with their lengths. */
  readonly bytesPerRecord: number
}

/** embudo's log, handed keys, values and headers as the other producers are. */
const { brokers, topic, partitions, schemaId, records } = taskInput<AppendInput>()
const recordsPerCall = 2_000
const callsInFlight = 4

const calls = Array.from({ length: Math.ceil(Math.min(records, 200_000) / recordsPerCall) }, (_, call) =>
  Array.from({ length: recordsPerCall }, (_, index) => {
    return { topic, ...attendanceRecord(call * recordsPerCall + index, schemaId, partitions) }
  }),
)
const bytes = calls[0]!.reduce((sum, record) => sum + bodyOf(record).length, 0)

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
const begun = process.cpuUsage()
await Promise.all(Array.from({ length: callsInFlight }, append))
const appended = called * recordsPerCall
tell({
  perSecond: appended / ((performance.now() - startedAt) / 1000),
  cpuMicros: ownCpuMicros(begun, appended),
  bytesPerRecord: Math.round(bytes / recordsPerCall),
} satisfies AppendResult)
