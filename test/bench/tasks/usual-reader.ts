import { performance } from 'node:perf_hooks'
import { type Consumer, Kafka, logLevel } from 'kafkajs'
import { ownCpuMicros } from '../cpu.ts'
import { type Speed, tell } from '../task.ts'

export interface UsualReaderInput {
  readonly brokers: readonly string[]
  readonly topic: string
  readonly measureMs: number
  /** Ends after as many, where that is sooner. */
  readonly records?: number
}

export interface UsualReader {
  readonly consumer: Consumer
  /** Before the first message is worked on, and before any other. */
  begin(): void
  /** So many more are worked on. */
  count(events: number): void
}

/** A kafkajs consumer as its documentation shows it, that tells how fast messages are gone through from the first on. */
export const usualReader = async (
  name: string,
  { brokers, topic, measureMs, records = Number.POSITIVE_INFINITY }: UsualReaderInput,
): Promise<UsualReader> => {
  const kafka = new Kafka({ brokers: [...brokers], clientId: name, logLevel: logLevel.NOTHING })
  const consumer = kafka.consumer({ groupId: `${name}-${process.pid}` })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  let begun: { readonly atMs: number; readonly cpu: NodeJS.CpuUsage } | undefined
  let events = 0
  return {
    consumer,
    begin() {
      begun ??= { atMs: performance.now(), cpu: process.cpuUsage() }
    },
    count(more) {
      events += more
      const elapsedMs = performance.now() - begun!.atMs
      if (events < records && elapsedMs < measureMs) return
      const perSecond = events / (elapsedMs / 1000)
      tell({ perSecond, cpuMicros: ownCpuMicros(begun!.cpu, events) } satisfies Speed)
    },
  }
}
