import { performance } from 'node:perf_hooks'
import { kafkaLog } from '../../../src/log/kafka-log.ts'
import { ownCpuMicros } from '../cpu.ts'
import { type Speed, taskInput, tell } from '../task.ts'

export interface FetchInput {
  readonly brokers: readonly string[]
  readonly topic: string
  /** Where to stop. */
  readonly records: number
}

/** embudo's reader alone: the topic's partitions side by side. */
const { brokers, topic, records: wanted } = taskInput<FetchInput>()
await using log = await kafkaLog({ brokers, clientId: 'embudo-bench' })
const bounds = await log.bounds(topic)
await using reader = log.reader()
let records = 0
const done = new AbortController()
const read = async (partition: number): Promise<void> => {
  for await (const batch of reader.read(topic, partition, 0, done.signal)) {
    records += batch.records.length
    if (records >= wanted) done.abort()
  }
}
const startedAt = performance.now()
const begun = process.cpuUsage()
await Promise.all(bounds.map(({ partition }) => read(partition)))
tell({
  perSecond: records / ((performance.now() - startedAt) / 1000),
  cpuMicros: ownCpuMicros(begun, records),
} satisfies Speed)
