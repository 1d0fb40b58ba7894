import { performance } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { createClient } from '@clickhouse/client'
import { Client } from 'pg'
import { taskInput, tell } from '../task.ts'
import { workload } from '../workload.ts'
import { type Latencies, latenciesOf } from './latencies.ts'
import { type SteadyRate, sendSteadily } from './steady-requests.ts'

export interface ReadableInput extends SteadyRate {
  readonly topic: string
  readonly model: string
  readonly databaseUrl: string
  readonly clickhouseUrl: string
}

export interface ReadableResult {
  readonly events: number
  /** Answers other than 202. */
  readonly failed: number
  /** Until the 202, for comparison. */
  readonly answered: Latencies
  readonly postgres: Latencies
  readonly clickhouse: Latencies
}

/**
 * How long after it was due to be sent an event can be read, at a fixed rate. Looking costs little: not each event is
 * read, but how far the readers are in each partition. A read model's rows become visible with their position, in one
 * statement; a partition's rows reach ClickHouse in the order of their offsets.
 */
const { topic, model, databaseUrl, clickhouseUrl, ...rate } = taskInput<ReadableInput>()

interface Sent {
  readonly offset: number
  readonly dueMs: number
  readonly isWarmUp: boolean
}

/** Events that are accepted and not seen yet, by partition, in the order of their offsets. */
type Waiting = Map<number, Sent[]>

interface Store {
  readonly waiting: Waiting
  readonly seenAfter: number[]
  /** The first offset that is not to be seen yet, by partition. */
  look(): Promise<ReadonlyMap<number, number>>
  readonly everyMs: number
}

const postgres = new Client({ connectionString: databaseUrl })
await postgres.connect()
const clickhouse = createClient({ url: clickhouseUrl })
/** So that what was there before need not be looked through. */
let firstOffset = Number.MAX_SAFE_INTEGER

const stores: readonly Store[] = [
  {
    waiting: new Map(),
    seenAfter: [],
    everyMs: 3,
    async look() {
      const { rows } = await postgres.query<{ partition: number; next_offset: string }>({
        name: 'positions',
        text: `select partition, next_offset from embudo.positions join embudo.generations as live using (generation)
               where reader = $1 and topic = $2 and live.projection = reader and live.state = 'live'`,
        values: [model, topic],
      })
      return new Map(rows.map(({ partition, next_offset }) => [partition, Number(next_offset)]))
    },
  },
  {
    waiting: new Map(),
    seenAfter: [],
    everyMs: 50,
    async look() {
      const answer = await clickhouse.query({
        query: `SELECT _partition AS partition, max(_offset) + 1 AS next FROM ${workload.type}
                WHERE _topic = {topic:String} AND _offset >= {from:UInt64} GROUP BY _partition`,
        query_params: { topic, from: firstOffset },
        format: 'JSONEachRow',
      })
      const rows = await answer.json<{ partition: number; next: string | number }>()
      return new Map(rows.map(({ partition, next }) => [partition, Number(next)]))
    },
  },
]

const patienceMs = 60_000
let sentAllAtMs = Number.POSITIVE_INFINITY
const watch = async ({ look, everyMs, waiting, seenAfter }: Store): Promise<void> => {
  while (sentAllAtMs === Number.POSITIVE_INFINITY || [...waiting.values()].some(({ length }) => length > 0)) {
    if (performance.now() > sentAllAtMs + patienceMs) throw new Error('what was accepted cannot be read')
    const next = await look()
    const now = performance.now()
    for (const [partition, events] of waiting) {
      const reached = next.get(partition) ?? 0
      const seen = events.filter(({ offset }) => offset < reached)
      if (seen.length === 0) continue
      waiting.set(
        partition,
        events.filter(({ offset }) => offset >= reached),
      )
      seenAfter.push(...seen.filter(({ isWarmUp }) => !isWarmUp).map(({ dueMs }) => now - dueMs))
    }
    await delay(everyMs)
  }
}

const answeredAfter: number[] = []
let failed = 0
const watching = Promise.all(stores.map(watch))
watching.catch(() => {})
await sendSteadily(rate, ({ status, text, ...sent }) => {
  if (status !== 202) {
    failed += 1
    return
  }
  const { partition, offset } = JSON.parse(text.slice(text.indexOf('\r\n\r\n'))) as {
    partition: number
    offset: number
  }
  if (!sent.isWarmUp) answeredAfter.push(performance.now() - sent.dueMs)
  firstOffset = Math.min(firstOffset, offset)
  for (const { waiting } of stores) {
    const events = waiting.get(partition)
    if (events === undefined) waiting.set(partition, [{ offset, ...sent }])
    else events.push({ offset, ...sent })
  }
})
sentAllAtMs = performance.now()
await watching
const [inPostgres, inClickhouse] = stores.map(({ seenAfter }) => seenAfter)
tell({
  events: inPostgres!.length,
  failed,
  answered: latenciesOf(answeredAfter),
  postgres: latenciesOf(inPostgres!),
  clickhouse: latenciesOf(inClickhouse!),
} satisfies ReadableResult)
