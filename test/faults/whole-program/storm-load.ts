import { setTimeout as delay } from 'node:timers/promises'
import { Kafka, logLevel, Partitioners } from 'kafkajs'
import { partitionFor } from '../../../src/log/port.ts'
import { until } from '../../processes.ts'
import { funnelEvent, ndjson } from './load.ts'

export interface StormLoadOptions {
  /** Where ingestion answers; it may change. */
  readonly http: () => string
  /** Past every proxy. */
  readonly kafka: string
  readonly partitions: number
  readonly random: () => number
  /** An event of the topic of leads under the first version of its schema, framed. */
  readonly oldVersion: (n: number) => { readonly key: string; readonly type: string; readonly value: Buffer }
  /** How many records that are no events may be appended. */
  readonly poisons: number
  readonly leads: number
}

export interface StormLoad {
  readonly accepted: readonly string[]
  readonly done: Readonly<Record<Kind, number>>
  untilFurther(events: number): Promise<void>
  stop(): Promise<void>
}

const kinds = ['fresh', 'near duplicates', 'far duplicates', 'old versions', 'poison'] as const
type Kind = (typeof kinds)[number]

/**
 * Senders that say things again, soon and much later; a producer that still writes the first version of a schema; and
 * one that writes bytes which are no event. Each goes on until it is acknowledged.
 */
export const startStormLoad = async (options: StormLoadOptions): Promise<StormLoad> => {
  const { random, partitions, leads } = options
  const kafka = new Kafka({ brokers: [options.kafka], logLevel: logLevel.NOTHING, retry: { retries: 3 } })
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner })
  await producer.connect()
  const stopping = new AbortController()
  const accepted: string[] = []
  const done = Object.fromEntries(kinds.map((kind) => [kind, 0])) as Record<Kind, number>
  const ranges: (readonly [from: number, to: number])[] = []
  let next = 0
  let old = 0

  const post = async ([from, to]: readonly [number, number]): Promise<void> => {
    const events = Array.from({ length: to - from }, (_, i) => funnelEvent(from + i, leads))
    await insisting(async () => {
      const response = await fetch(`${options.http()}/api/events`, {
        method: 'POST',
        headers: { 'content-type': 'application/x-ndjson' },
        body: ndjson(events),
        signal: AbortSignal.timeout(30_000),
      })
      await response.arrayBuffer()
      return response.status === 202
    })
    for (const { id } of events) accepted.push(String(id))
  }
  const append = async (key: string, id: string, type: string, value: Buffer): Promise<void> => {
    const partition = partitionFor(Buffer.from(key), partitions)
    const headers = {
      ...{ ce_specversion: '1.0', ce_id: id, ce_source: 'old-producer', ce_type: type },
      ...{ ce_time: '2026-02-03T04:05:06.000Z', 'content-type': 'application/avro' },
    }
    await insisting(async () => {
      await producer.send({ topic: 'embudo.leads', messages: [{ key, value, partition, headers }] })
      return true
    })
  }
  const turns: Readonly<Record<Kind, () => Promise<void>>> = {
    fresh: async () => {
      const range = [next, next + 20 + Math.floor(random() * 80)] as const
      next = range[1]
      await post(range)
      ranges.push(range)
    },
    'near duplicates': () => post(ranges.at(-1) ?? [0, 1]),
    'far duplicates': () => post(ranges[Math.floor(random() * ranges.length)] ?? [0, 1]),
    'old versions': async () => {
      const { key, type, value } = options.oldVersion(old)
      await append(key, `old-${old++}`, type, value)
    },
    poison: async () => {
      if (done.poison >= options.poisons) return
      const { key, type, value } = options.oldVersion(Math.floor(random() * leads))
      await append(key, `poison-${done.poison}`, type, value.subarray(0, value.length - 3))
    },
  }
  const draw = (): Kind => {
    const at = random()
    if (at < 0.6) return 'fresh'
    if (at < 0.75) return 'near duplicates'
    if (at < 0.85) return 'far duplicates'
    return at < 0.98 ? 'old versions' : 'poison'
  }
  const run = async (): Promise<void> => {
    for (; !stopping.signal.aborted; await delay(pauseMs)) {
      const kind = draw()
      await turns[kind]()
      done[kind]++
    }
  }
  let failure: unknown
  const running = run().catch((error: unknown) => {
    failure = error
  })
  return {
    accepted,
    done,
    async untilFurther(events) {
      const goal = accepted.length + events
      await until(`${events} more events are accepted`, () => {
        if (failure !== undefined) throw failure
        return accepted.length >= goal
      })
    },
    async stop() {
      stopping.abort()
      await running
      await producer.disconnect()
      if (failure !== undefined) throw failure
    },
  }
}

const pauseMs = 25
const longestOutageMs = 300_000

/** Until it is acknowledged, with the same ids. */
const insisting = async (attempt: () => Promise<boolean>): Promise<void> => {
  let last: unknown
  for (const deadline = performance.now() + longestOutageMs; performance.now() < deadline; await delay(100)) {
    try {
      if (await attempt()) return
    } catch (error) {
      last = error
    }
  }
  throw new Error('not acknowledged in time', { cause: last })
}
