import { performance } from 'node:perf_hooks'
import { Kafka, logLevel } from 'kafkajs'
import { ownCpuMicros } from '../cpu.ts'
import { type Speed, taskInput, tell } from '../task.ts'
import { attendanceRecord } from '../workload.ts'
import type { AppendInput } from './append.ts'

export interface UsualAppendInput extends AppendInput {
  readonly isIdempotent: boolean
  readonly measureMs: number
}

/** The same records through kafkajs's own producer: `sendBatch` of 2,000, acks from all. */
const { brokers, topic, partitions, schemaId, records, isIdempotent, measureMs } =
  taskInput<UsualAppendInput>()
const recordsPerCall = 2_000
const callsInFlight = 4

const kafka = new Kafka({ brokers: [...brokers], clientId: 'usual-append', logLevel: logLevel.NOTHING })
const producer = kafka.producer(isIdempotent ? { idempotent: true } : {})
await producer.connect()

const calls = Array.from({ length: 20 }, (_, call) =>
  Array.from({ length: recordsPerCall }, (_, index) => {
    const { partition, key, value, headers } = attendanceRecord(
      call * recordsPerCall + index,
      schemaId,
      partitions,
    )
    return { partition, key, value, headers: Object.fromEntries(headers) }
  }),
)
const send = async (messages: (typeof calls)[number]): Promise<void> => {
  await producer.sendBatch({ acks: -1, topicMessages: [{ topic, messages }] })
}

await send(calls[0]!)
let called = 0
const startedAt = performance.now()
const begun = process.cpuUsage()
const drive = async (): Promise<void> => {
  while (called * recordsPerCall < records && performance.now() - startedAt < measureMs) {
    await send(calls[called++ % calls.length]!)
  }
}
await Promise.all(Array.from({ length: callsInFlight }, drive))
const sent = called * recordsPerCall
tell({
  perSecond: sent / ((performance.now() - startedAt) / 1000),
  cpuMicros: ownCpuMicros(begun, sent),
} satisfies Speed)
