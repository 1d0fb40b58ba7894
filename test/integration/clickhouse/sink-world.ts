import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ClickHouseClient, ClickHouseLogLevel } from '@clickhouse/client'
import pg from 'pg'
import { pino } from 'pino'
import { expect } from 'vitest'
import * as generated from '../../../schemas/events.generated.ts'
import { distinct } from '../../../src/consumer/distinct.ts'
import { identityHash } from '../../../src/consumer/identity-hash.ts'
import { isPassing } from '../../../src/consumer/passing.ts'
import { raiseEpoch } from '../../../src/consumer/positions.ts'
import type { Corrections } from '../../../src/dead-letter/correction.ts'
import { noCorrections } from '../../../src/dead-letter/corrections.ts'
import { catalogOf } from '../../../src/define/catalog.ts'
import { EmbudoError } from '../../../src/define/error.ts'
import { Codec } from '../../../src/log/codec.ts'
import { type MemoryLog, memoryLog } from '../../../src/log/memory-log.ts'
import type { AppendRecord } from '../../../src/log/port.ts'
import { migrate } from '../../../src/postgres/migrate.ts'
import { EventSink, type SinkLimits } from '../../../src/projection/clickhouse/sink.ts'
import { ensureEventTables, nameEventTables } from '../../../src/projection/clickhouse/tables.ts'
import { clickhouseClient } from '../../clickhouse-client.ts'
import { dropDatabase } from '../../drop-database.ts'
import { eventually } from '../../processes.ts'

export const catalog = catalogOf(generated)
const hash = identityHash()

const ids = new Map(
  [...catalog.events.values()].flatMap((event, index) =>
    event.versions.map(({ version }) => [`${event.type}/${version}`, index * 100 + version] as const),
  ),
)
/** A schema that nobody can tell anything of while the registry is away. */
export const unreachableSchema = 77_777

/** One that only has the name of an event. */
export const incompatibleSchema = 77_778

export const newCodec = (isRegistryThere: () => boolean = () => true): Codec =>
  new Codec(catalog, ids, async (schemaId) => {
    if (schemaId === incompatibleSchema) {
      const { schema } = catalog.events.get('webinar_attended')!.current
      return { ...schema, fields: schema.fields.map((field) => ({ ...field, type: 'boolean' })) }
    }
    if (schemaId === unreachableSchema && !isRegistryThere())
      throw new EmbudoError('registry_unavailable', 'the registry is away', { retriable: true })
    throw new EmbudoError('schema_unknown', `there is no schema ${schemaId}`)
  })

export const codec = newCodec()

/** A ClickHouse and a Postgres database of its own, with the tables of generation 1. */
export interface World extends AsyncDisposable {
  readonly clickhouse: ClickHouseClient
  readonly pool: pg.Pool
  newPool(): pg.Pool & AsyncDisposable
  select<Row>(query: string): Promise<Row[]>
}

export const openWorld = async (parts: { clickhouseUrl: string; databaseUrl: string }): Promise<World> => {
  const name = `sink_${randomUUID().replaceAll('-', '').slice(0, 12)}`
  const admin = new pg.Pool({ connectionString: parts.databaseUrl, max: 1 })
  await admin.query(`create database ${name}`)
  const databaseUrl = withDatabase(parts.databaseUrl, name)
  await migrate(databaseUrl, pino({ level: 'silent' }))
  const newPool = () => {
    const made = new pg.Pool({ connectionString: databaseUrl, max: 8 })
    made.on('error', () => {})
    return Object.assign(made, { [Symbol.asyncDispose]: () => made.end() })
  }
  const pool = newPool()

  const clickhouseUrl = withDatabase(parts.clickhouseUrl, name)
  const outside = clickhouseClient({ url: parts.clickhouseUrl })
  await outside.command({ query: `CREATE DATABASE ${name}` })
  const log = { level: ClickHouseLogLevel.OFF }
  const clickhouse = clickhouseClient({ url: clickhouseUrl, max_open_connections: 20, log })
  await ensureEventTables(clickhouse, catalog, 1)
  await nameEventTables(clickhouse, catalog, 1)

  return {
    clickhouse,
    pool,
    newPool,
    async select<Row>(query: string) {
      return (await clickhouse.query({ query, format: 'JSONEachRow' })).json<Row>()
    },
    async [Symbol.asyncDispose]() {
      await clickhouse.close()
      await outside.command({ query: `DROP DATABASE ${name}` })
      await outside.close()
      await pool.end()
      await dropDatabase(admin, name)
      await admin.end()
    },
  }
}

/** A log of its own in a world: another prefix, so that its rows and positions are nobody else's. */
export class Story {
  readonly world: World
  readonly log: MemoryLog = memoryLog()
  readonly prefix = `s${randomUUID().slice(0, 8)}.`
  readonly topic: string
  readonly partitions = 3
  #appended = 0

  constructor(world: World, topic = 'leads') {
    this.world = world
    this.topic = `${this.prefix}${topic}`
  }

  /** That many events of three types, over all partitions. */
  async appendOnce(count: number): Promise<void> {
    await this.log.append(await this.#records(count))
  }

  /** As after lost answers: some come twice at once, and the last ones again, so that a batch may end with them. */
  async append(count: number): Promise<void> {
    const records = await this.#records(count)
    const sent = records.flatMap((record, index) => (index % 7 === 0 ? [record, record] : [record]))
    await this.log.append([...sent, ...records.slice(-3)])
  }

  async #records(count: number): Promise<AppendRecord[]> {
    await this.log.ensureTopics([
      { topic: this.topic, partitions: this.partitions, replication: 1, settings: {} },
    ])
    const first = this.#appended
    this.#appended += count
    return Array.from({ length: count }, (_, index) => this.#record(first + index))
  }

  /** In this order, all in partition 0. */
  async appendEvents(
    events: readonly { type: string; time: string; data: Record<string, unknown> }[],
  ): Promise<void> {
    await this.log.ensureTopics([
      { topic: this.topic, partitions: this.partitions, replication: 1, settings: {} },
    ])
    const records = events.map(({ type, time, data }) => ({
      topic: this.topic,
      partition: 0,
      key: Buffer.from(String(data.leadId)),
      value: codec.encode(type, data),
      headers: [['ce_time', time]] as [string, string][],
    }))
    this.#appended += records.length
    await this.log.append(records)
  }

  /** What can never become a row, if so many times. */
  async appendValue(
    partition: number,
    value: Buffer,
    times = 1,
    headers: readonly (readonly [string, string])[] = [],
  ): Promise<void> {
    const record = { topic: this.topic, partition, key: Buffer.from('L-0'), value, headers }
    await this.log.append(Array.from({ length: times }, () => record))
  }

  #record(n: number): AppendRecord {
    const leadId = `L-${n % 17}`
    const [type, data] =
      n % 3 === 0
        ? ['webinar_attended', { leadId, webinarId: 'W-1', attendanceDuration: n, engagementScore: null }]
        : n % 3 === 1
          ? ['conversion_completed', { leadId, conversionType: 'sale', value: '49.50', currency: 'EUR' }]
          : [
              'lead_registered',
              {
                leadId,
                email: 'a@b.example',
                firstName: 'Ada',
                lastName: null,
                company: 'Acme',
                source: null,
              },
            ]
    const headers = [
      ['ce_id', `e-${n}`],
      ['ce_source', 'test'],
      ['ce_time', new Date(Date.UTC(2026, 10, 20, 10) + n * 1000).toISOString()],
    ] as [string, string][]
    const value = codec.encode(type as string, data)
    return { topic: this.topic, partition: n % this.partitions, key: Buffer.from(leadId), value, headers }
  }

  /** What a worker process would do with the sink. */
  start(
    parts: {
      clickhouse?: ClickHouseClient
      pool?: pg.Pool
      limits?: Partial<SinkLimits>
      stopsAtErrors?: boolean
      corrections?: Corrections
      codec?: Codec
      /** Default: 1. */
      generation?: number
      /** Default: all. */
      partitions?: readonly number[]
    } = {},
  ): Worker {
    const { clickhouse = this.world.clickhouse, pool = this.world.pool } = parts
    const { corrections = noCorrections, generation = 1 } = parts
    const limits = { lingerMs: 0, drainMs: 60_000, watchMs: 20, ...parts.limits }
    const sink = new EventSink({
      ...{ clickhouse, pool, corrections, limits, maxPoisonedShare: 0.5 },
      ...{ prefix: this.prefix, codec: parts.codec ?? codec },
    })
    const abort = new AbortController()
    const errors: unknown[] = []
    const lasting: unknown[] = []

    const read = async (partition: number, signal: AbortSignal): Promise<void> => {
      for (let failures = 1; !signal.aborted; failures++) {
        const attempt = new AbortController()
        const reading = AbortSignal.any([signal, attempt.signal])
        try {
          const of = { reader: 'events', generation, topic: this.topic, partition }
          const position = await raiseEpoch(pool, of, 0)
          const records = this.log.reader().read(this.topic, partition, 0, reading)
          const batches = distinct(records, { from: position.nextOffset, duplicatesWithin: 100_000, hash })
          await sink.run(position, batches, signal)
        } catch (error) {
          if (signal.aborted) return
          errors.push(error)
          if (!isPassing(error)) lasting.push(error)
          if (!isPassing(error) || parts.stopsAtErrors === true) return
          // As consumers do, or two that fight would hinder each other for ever.
          await sleep(Math.random() * Math.min(2_000, 10 * 2 ** failures))
        } finally {
          attempt.abort()
        }
      }
    }
    const running: Promise<void>[] = []
    const own: Worker['own'] = (partition) => {
      const letGo = new AbortController()
      const done = read(partition, AbortSignal.any([abort.signal, letGo.signal]))
      running.push(done)
      return {
        async letGo() {
          letGo.abort()
          await done
        },
      }
    }
    for (const partition of parts.partitions ?? Array(this.partitions).keys()) own(partition)
    return {
      sink,
      errors,
      lasting,
      own,
      ended: Promise.all(running),
      async [Symbol.asyncDispose]() {
        abort.abort()
        await Promise.all(running)
        await sink[Symbol.asyncDispose]()
      },
    }
  }

  async positions(generation = 1): Promise<number[]> {
    const { rows } = await this.world.pool.query<{ next_offset: string }>(
      `select next_offset from embudo.positions where topic = $1 and generation = $2 order by partition`,
      [this.topic, generation],
    )
    return rows.map((row) => Number(row.next_offset))
  }

  /** Positions at the end of the log, every event in the tables, once, and the counts beside the positions say so. */
  async untilWhole(): Promise<void> {
    await this.untilRead()
    const rows = this.#appended
    expect(await this.counts()).toEqual({ rows, places: rows })
    expect(await this.accounts()).toMatchObject({ applied: rows, deadLettered: 0, unaccounted: 0 })
  }

  /** Positions go back to an offset, with their counts, as if nothing behind it had ever been read. */
  async setBack(nextOffset: number): Promise<void> {
    const { rows } = await this.world.pool.query<{ partition: number; next_offset: string }>(
      'select partition, next_offset from embudo.positions where topic = $1',
      [this.topic],
    )
    for (const { partition } of rows) {
      let [applied, duplicates] = [0, 0]
      if (nextOffset > 0) {
        const abort = new AbortController()
        const records = this.log.reader().read(this.topic, partition, 0, abort.signal)
        const seen = new Set<string>()
        reading: for await (const batch of records) {
          for (const record of batch.records) {
            if (record.offset >= nextOffset) break reading
            const id = record.header('ce_id')!
            if (seen.has(id)) duplicates++
            else applied++
            seen.add(id)
          }
        }
        abort.abort()
      }
      await this.world.pool.query(
        `update embudo.positions set next_offset = $3, mark = '', applied = $4, duplicates = $5, dead_lettered = 0
         where topic = $1 and partition = $2`,
        [this.topic, partition, nextOffset, applied, duplicates],
      )
    }
  }

  async untilRead(generation = 1): Promise<void> {
    const ends = (await this.log.bounds(this.topic)).map(({ end }) => end)
    await eventually(
      () => this.positions(generation),
      (positions) => positions.join() === ends.join(),
    )
  }

  /** What the positions say became of the records. */
  async accounts(generation = 1) {
    const { rows } = await this.world.pool.query<Record<string, number>>(
      `select sum(applied)::integer as applied, sum(dead_lettered)::integer as "deadLettered",
         sum(next_offset - origin - applied - ignored - duplicates - dead_lettered - markers)::integer as unaccounted
       from embudo.positions where topic = $1 and generation = $2`,
      [this.topic, generation],
    )
    return rows[0]!
  }

  /** As somebody who wants letters retried does it. */
  async retryLetters(edited: ReadonlyMap<number, Buffer> = new Map()): Promise<void> {
    const client = await this.world.pool.connect()
    try {
      await client.query('begin')
      await client.query(`select from embudo.positions where topic = $1 order by partition for update`, [
        this.topic,
      ])
      await client.query(
        `update embudo.dead_letters set state = 'retrying' where topic = $1 and state = 'open'`,
        [this.topic],
      )
      for (const [offset, value] of edited) {
        await client.query(`update embudo.dead_letters set value = $3 where topic = $1 and "offset" = $2`, [
          this.topic,
          offset,
          value,
        ])
      }
      await client.query(`update embudo.positions set epoch = epoch + 1 where topic = $1`, [this.topic])
      await client.query('commit')
    } finally {
      client.release()
    }
  }

  async letters(): Promise<Letter[]> {
    const { rows } = await this.world.pool.query<Letter>(
      `select generation, partition, "offset"::integer as "offset", type, code, state, attempts, settled_at is not null as settled
       from embudo.dead_letters where topic = $1 order by generation, partition, "offset"`,
      [this.topic],
    )
    return rows
  }

  async counts(generation = 1): Promise<{ rows: number; places: number }> {
    const [found] = await this.world.select<{ rows: number; places: number }>(
      `SELECT toUInt32(count()) AS rows, toUInt32(uniqExact(_topic, _partition, _offset)) AS places FROM events_g${generation} WHERE _topic = '${this.topic}'`,
    )
    return found!
  }
}

export interface Letter {
  readonly generation: number
  readonly partition: number
  readonly offset: number
  readonly type: string | null
  readonly code: string
  readonly state: string
  readonly attempts: number
  readonly settled: boolean
}

export interface Worker extends AsyncDisposable {
  readonly sink: EventSink
  readonly errors: unknown[]
  /** Those of them that no further try would mend: each has stopped its partition. */
  readonly lasting: unknown[]
  /** When none of the partitions that it started with goes on. */
  readonly ended: Promise<unknown>
  own(partition: number): { letGo(): Promise<void> }
}

const withDatabase = (url: string, name: string): string => {
  const changed = new URL(url)
  changed.pathname = `/${name}`
  return changed.href
}
