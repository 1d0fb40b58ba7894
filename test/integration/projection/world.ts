import { randomUUID } from 'node:crypto'
import { Client, Pool } from 'pg'
import { pino } from 'pino'
import * as generated from '../../../schemas/events.generated.ts'
import type { Consumer } from '../../../src/consumer/consumer.ts'
import { type Feeds, makeFeeds } from '../../../src/consumer/feeds.ts'
import { joinMembership, type Membership } from '../../../src/consumer/membership.ts'
import type { Corrections } from '../../../src/dead-letter/correction.ts'
import { noCorrections } from '../../../src/dead-letter/corrections.ts'
import { catalogOf, topicName } from '../../../src/define/catalog.ts'
import type { NewEvent } from '../../../src/define/event.ts'
import { Codec } from '../../../src/log/codec.ts'
import { type MemoryLog, memoryLog } from '../../../src/log/memory-log.ts'
import { type Log, partitionFor } from '../../../src/log/port.ts'
import { migrate } from '../../../src/postgres/migrate.ts'
import type { PostgresProjection } from '../../../src/projection/definition.ts'
import { feedsNothing, generationKinds } from '../../../src/projection/kinds.ts'
import { type Lifecycle, projectionLifecycle } from '../../../src/projection/lifecycle.ts'
import { type ProjectionManager, startProjections } from '../../../src/projection/manager.ts'
import { pace } from '../../../src/projection/pace.ts'
import { listProjections, type ProjectionItem } from '../../../src/projection/queries.ts'
import { dropDatabase } from '../../drop-database.ts'
import { eventually } from '../../processes.ts'
import { type Happened, leads } from './models.ts'

export { eventually }

const logger = pino({ level: 'silent' })

/** Ids as a registry gives them. */
const schemaIds = new Map(
  generated.versions.map(({ type, version }, index) => [`${type}/${version}`, index + 1]),
)
const catalog = catalogOf(generated)
export const codec = new Codec(catalog, schemaIds, () => Promise.reject(new Error('no registry here')))

/** A database of its own, with the project's tables; commits wait for nothing, as the projections' do. */
export const makeDatabase = async (
  serverUrl: string,
): Promise<AsyncDisposable & { url: string; pool: Pool }> => {
  const name = `projection_${randomUUID().replaceAll('-', '').slice(0, 16)}`
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  await onServer(serverUrl, (server) => server.query(`create database ${name}`))
  await migrate(url.href, logger)
  const pool = new Pool({ connectionString: url.href, max: 12, options: '-c synchronous_commit=off' })
  pool.on('error', () => {})
  return {
    url: url.href,
    pool,
    async [Symbol.asyncDispose]() {
      await pool.end()
      await onServer(serverUrl, (server) => dropDatabase(server, name))
    },
  }
}

let logs = 0
/** A log with a topic of leads under a prefix of its own, so that cases in one database do not meet. */
export const makeLog = async (): Promise<{ log: MemoryLog; prefix: string; topic: string }> => {
  const log = memoryLog()
  const prefix = `t${++logs}.`
  const topic = topicName(prefix, leads)
  await log.ensureTopics([{ topic, partitions: leads.partitions, replication: 1, settings: {} }])
  return { log, prefix, topic }
}

/** Appends in the order given and answers what an oracle needs to know of each. */
export const append = async (
  log: MemoryLog,
  topic: string,
  events: readonly NewEvent[],
): Promise<Happened[]> => {
  const ids = events.map(({ id }) => id ?? randomUUID())
  const records = events.map(({ type, data, time }, index) => {
    const { leadId } = data as { leadId: string }
    return {
      topic,
      partition: partitionFor(Buffer.from(leadId), leads.partitions),
      key: Buffer.from(leadId),
      value: codec.encode(type, data),
      headers: [['ce_id', ids[index]!] as const, ['ce_time', time!] as const],
    }
  })
  const outcomes = await log.append(records)
  return outcomes.map((outcome, index) => {
    if ('failed' in outcome) throw new Error(outcome.detail)
    const { type, data, time } = events[index]!
    const { partition, offset } = outcome
    return { type, id: ids[index]!, data, time: time!, partition, offset } as Happened
  })
}

/** Owns everything, whatever others believe. */
export const soleOwner = (worker = 'sole'): Membership => ({
  worker,
  owns: () => true,
  ownsDuty: () => true,
  onChange: () => () => {},
  async [Symbol.asyncDispose]() {},
})

export const member = (pool: Pool, worker: string): Promise<Membership> =>
  joinMembership({ pool, worker, logger, heartbeatMs: 50, ttlMs: 2_000 })

export interface ProjectorOptions {
  readonly log: Log
  readonly prefix: string
  readonly pool: Pool
  readonly codec?: Codec
  readonly projections: readonly PostgresProjection[]
  readonly membership?: Membership
  readonly corrections?: Corrections
  readonly feeds?: Feeds
  readonly batchRecords?: number
  readonly cacheRows?: number
  readonly everyMs?: number
  readonly keepPreviousMs?: number
}

export const startProjector = async (options: ProjectorOptions): Promise<ProjectionManager> => {
  await using stack = new AsyncDisposableStack()
  const feeds = options.feeds ?? stack.use(makeFeeds(options.log))
  const parts = {
    ...{ feeds, corrections: noCorrections, maxPoisonedShare: 0.1 },
    ...{ catalog, codec, logger, membership: soleOwner(), pace: pace(), observe: () => () => {} },
    ...{ batchRecords: 1_000, cacheRows: 10_000, keepPreviousMs: 3_600_000, everyMs: 25 },
    ...options,
  }
  const kinds = generationKinds(options.projections, parts)
  const manager = stack.use(await startProjections(options.projections, { ...parts, kinds }))
  const started = stack.move()
  return { consumers: manager.consumers, [Symbol.asyncDispose]: () => started.disposeAsync() }
}

/** What an operator does, in a process that feeds nothing. */
export const operator = (
  options: Pick<ProjectorOptions, 'log' | 'prefix' | 'pool' | 'projections'>,
): Lifecycle => {
  const parts = { ...{ catalog, codec, logger, corrections: noCorrections, maxPoisonedShare: 1 }, ...options }
  const nothing = { batchRecords: 1, cacheRows: 0, ...feedsNothing }
  return projectionLifecycle({
    ...parts,
    kinds: generationKinds(options.projections, { ...parts, ...nothing }),
  })
}

/** As an operator who is told that the other generation is not quite there, and asks again. */
export const onceThere = async <T>(change: () => Promise<T>): Promise<T> => {
  const attempt = async (): Promise<readonly T[]> => {
    try {
      return [await change()]
    } catch (error) {
      const { code } = error as { code?: string }
      if (code !== 'generation_behind' && code !== 'switch_disturbed') throw error
      return []
    }
  }
  const [done] = await eventually(attempt, ({ length }) => length > 0)
  return done as T
}

/** As the list of projections tells it. */
export const told = async (
  options: Pick<ProjectorOptions, 'log' | 'prefix' | 'pool' | 'projections'>,
  name: string,
): Promise<ProjectionItem> =>
  (await listProjections({ catalog, ...options })).find((item) => item.name === name)!

/** Waits for what the list of projections tells of one. */
export const showing = (options: Parameters<typeof told>[0], name: string) => ({
  rebuildIs: (...states: readonly string[]) =>
    eventually(
      async () => (await told(options, name)).rebuild,
      (rebuild) => rebuild !== null && states.includes(rebuild.state),
    ),
  liveIs: (generation: number) =>
    eventually(
      () => told(options, name),
      ({ generations }) =>
        generations.some((each) => each.generation === generation && each.state === 'live'),
    ),
})

/** Until every record of the log is behind the live generation's positions. */
export const applied = async (
  { log, pool, topic }: { log: Pick<Log, 'bounds'>; pool: Pool; topic: string },
  projection: string,
): Promise<void> => {
  await eventually(
    async () => {
      const { rows } = await pool.query<{ partition: number; next_offset: string }>(
        `select partition, next_offset from embudo.positions join embudo.generations using (generation)
         where reader = $1 and projection = $1 and state = 'live' and topic = $2`,
        [projection, topic],
      )
      return (await log.bounds(topic)).map(
        ({ partition, end }) =>
          end - Number(rows.find((row) => row.partition === partition)?.next_offset ?? 0),
      )
    },
    (missing) => missing.every((records) => records === 0),
  )
}

export const statesOf = (consumers: readonly Consumer[]): string[] =>
  consumers.flatMap((consumer) => consumer.status().map(({ state }) => state))

type Lost = 'request' | 'answer' | undefined

/**
 * A pool whose calls fail as when a connection is lost: before Postgres has heard of them, or after it has done
 * them and only the answer is lost.
 */
export const lossyPool = (pool: Pool, lose: (sql: string) => Lost | Promise<Lost>): Pool =>
  new Proxy(pool, {
    get(target, name) {
      if (name === 'query') {
        return async (...input: Parameters<Pool['query']>) => {
          const lost = await lose(textOf(input[0]))
          if (lost === 'request') throw connectionLost()
          const answer = await target.query(...input)
          if (lost === 'answer') throw connectionLost()
          return answer
        }
      }
      if (name === 'connect') {
        return async () => {
          if ((await lose('connect')) !== undefined) throw connectionLost()
          return await target.connect()
        }
      }
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })

const textOf = (query: string | { readonly text: string }): string =>
  typeof query === 'string' ? query : query.text

const connectionLost = (): Error =>
  Object.assign(new Error('Connection terminated unexpectedly'), { code: 'ECONNRESET' })

const onServer = async (url: string, act: (server: Client) => Promise<unknown>): Promise<void> => {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    await act(client)
  } finally {
    await client.end()
  }
}
