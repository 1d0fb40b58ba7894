import { randomUUID } from 'node:crypto'
import { Client, Pool } from 'pg'
import { pino } from 'pino'
import * as generated from '../../../schemas/events.generated.ts'
import { makeFeeds } from '../../../src/consumer/feeds.ts'
import { joinMembership } from '../../../src/consumer/membership.ts'
import { catalogOf, topicName } from '../../../src/define/catalog.ts'
import type { DomainEvent, NewEvent } from '../../../src/define/event.ts'
import type { SagaDefinition } from '../../../src/define/saga.ts'
import { Codec } from '../../../src/log/codec.ts'
import { appendEvents } from '../../../src/log/event-appender.ts'
import { memoryLog } from '../../../src/log/memory-log.ts'
import type { Log } from '../../../src/log/port.ts'
import { migrate } from '../../../src/postgres/migrate.ts'
import { sagaIdOf } from '../../../src/saga/deterministic-id.ts'
import { type SagaItem, showSaga } from '../../../src/saga/queries.ts'
import { type SagaParts, startSagas } from '../../../src/saga/start.ts'
import { dropDatabase } from '../../drop-database.ts'
import { eventually } from '../../processes.ts'

export { eventually }

const defaultPrefix = 'embudo.'
export const catalog = catalogOf(generated)
const logger = pino({ level: 'fatal' })

/** Ids as a registry gives them. */
const ids = new Map(generated.versions.map(({ type, version }, index) => [`${type}/${version}`, index + 1]))
export const codec = new Codec(catalog, ids, () => Promise.reject(new Error('no registry here')))

/** A database of its own, with the project's tables. */
export const makeDatabase = async (
  serverUrl: string,
): Promise<AsyncDisposable & { url: string; pool: Pool }> => {
  const name = `saga_${randomUUID().replaceAll('-', '').slice(0, 16)}`
  const url = new URL(serverUrl)
  await onServer(url.href, (server) => server.query(`create database ${name}`))
  const own = new URL(serverUrl)
  own.pathname = `/${name}`
  await migrate(own.href, logger)
  const pool = new Pool({ connectionString: own.href, max: 10 })
  // Tests cut connections; without a listener from the very first, one that is cut as it opens ends the process.
  pool.on('error', () => {})
  pool.on('connect', (client) => client.on('error', () => {}))
  return {
    url: own.href,
    pool,
    async [Symbol.asyncDispose]() {
      await pool.end()
      await onServer(url.href, (server) => dropDatabase(server, name))
    },
  }
}

export const makeLog = async (): Promise<ReturnType<typeof memoryLog>> => {
  const log = memoryLog()
  await makeTopics(log, defaultPrefix)
  return log
}

export const makeTopics = (log: Log, prefix: string): Promise<void> =>
  log.ensureTopics(
    catalog.topics.map((topic) => ({
      topic: topicName(prefix, topic),
      partitions: topic.partitions,
      replication: 1,
      settings: {},
    })),
  )

export interface WorldOptions extends Partial<SagaParts> {
  readonly sagas: readonly SagaDefinition[]
  readonly pool: Pool
  readonly log: Log
  readonly worker?: string
}

/** One process's sagas. */
export const startWorker = async ({ worker = 'w1', ...options }: WorldOptions): Promise<AsyncDisposable> => {
  await using stack = new AsyncDisposableStack()
  const membership = stack.use(await joinMembership({ pool: options.pool, worker, logger }))
  const feeds = stack.use(makeFeeds(options.log))
  const defaults = { codec, catalog, prefix: defaultPrefix, feeds, membership, logger, pollMs: 50 }
  stack.use(await startSagas({ ...defaults, ...options }))
  const started = stack.move()
  return { [Symbol.asyncDispose]: () => started.disposeAsync() }
}

export const append = async (log: Log, event: NewEvent, prefix = defaultPrefix): Promise<void> =>
  appendEvents(
    log,
    codec,
    catalog,
    prefix,
  )([
    {
      ...event,
      id: event.id ?? randomUUID(),
      source: event.source ?? 'test',
      time: event.time ?? new Date().toISOString(),
    },
  ])

/** Everything a topic holds. */
export const eventsIn = async (
  log: Log,
  topic: string,
  prefix = defaultPrefix,
): Promise<DomainEvent<Record<string, unknown>>[]> => {
  const name = `${prefix}${topic}`
  const events: DomainEvent<Record<string, unknown>>[] = []
  await using reader = log.reader()
  for (const { partition, start, end } of await log.bounds(name)) {
    if (end <= start) continue
    const stop = new AbortController()
    for await (const { records } of reader.read(name, partition, start, stop.signal)) {
      events.push(...records.map((record) => codec.event(record, name, partition)))
      if (records.at(-1)!.offset >= end - 1) break
    }
    stop.abort()
  }
  return events
}

export const enrollmentRequested = (enrollmentId: string, more: Partial<Enrollment> = {}): NewEvent => ({
  type: 'enrollment_requested',
  data: {
    enrollmentId,
    leadId: `L-${enrollmentId}`,
    courseId: 'C-1',
    price: '49.00',
    currency: 'EUR',
    paymentMethod: 'pm_card_visa',
    ...more,
  },
})

interface Enrollment {
  readonly courseId: string
  readonly paymentMethod: string
}

export const ended = (pool: Pool, enrollmentId: string, patienceMs?: number): Promise<SagaItem | undefined> =>
  eventually(
    () => showSaga(pool, sagaIdOf('enrollment', enrollmentId)),
    (saga) => saga !== undefined && saga.endedAt !== null,
    patienceMs,
  )

const onServer = async (url: string, act: (server: Client) => Promise<unknown>): Promise<void> => {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    await act(client)
  } finally {
    await client.end()
  }
}
