import { setTimeout as sleep } from 'node:timers/promises'
import type { ClickHouseClient } from '@clickhouse/client'
import type { Pool } from 'pg'
import { type Position, positionMoved } from '../../consumer/positions.ts'
import { EmbudoError } from '../../define/error.ts'
import { transaction } from '../../postgres/transaction.ts'
import { clickhouseError } from './clickhouse-error.ts'
import { type Cluster, linearizable, onCluster, oneAfterAnother, processesOf } from './cluster.ts'
import type { Runs } from './held.ts'
import { allEvents, fenceTable } from './tables.ts'

/**
 * Exactly once by fence, drain and look, done whenever a partition is taken over and before anything may be sent
 * a second time; docs/spec/Sink.tla is the model of it. Given an epoch that Postgres has committed:
 *
 * 1. fence: write the epoch down in ClickHouse. Every insert reads it as it starts, and writes nothing if its own
 *    epoch is lower; so from here on no insert of an earlier epoch can begin. Where this epoch or a higher one is there
 *    already, Postgres was set back to a time before it: its epoch is raised past that, and the take-over begins
 *    again.
 * 2. drain: wait until those that had begun have ended.
 * 3. look: which offsets at or past the position are there? Nobody else can add any now.
 */
export const takeOver = async (
  parts: FenceParts,
  position: Position,
  options: DrainOptions,
): Promise<Runs> => {
  try {
    await passFence(parts.pool, position, await readFence(parts, position))
    await writeFence(parts, position)
    await drain(parts, position, options)
    return await look(parts, position)
  } catch (error) {
    throw clickhouseError(error, `take ${position.topic}:${position.partition} over`)
  }
}

export interface FenceParts {
  readonly clickhouse: ClickHouseClient
  readonly pool: Pool
  readonly cluster?: Cluster | undefined
}

export interface DrainOptions {
  readonly signal: AbortSignal
  /** After this long what is still running is ended: its client may be gone. Default 10,000. */
  readonly drainMs?: number
  readonly now?: () => number
}

/** What the ids of all inserts of one reader's generation begin with; then come the partitions of their rows. */
const insertsOf = ({
  reader,
  generation,
}: {
  readonly reader: string
  readonly generation: number
}): string => `embudo:${reader}:${generation}:`

/** The id of an insert with rows of these partitions: by it the drain tells what it has to wait for. */
export const insertId = (positions: readonly Position[], id: string): string =>
  `${insertsOf(positions[0]!)}${positions.map(placeText).join(',')}:${id}`

const placeText = ({ topic, partition }: Position): string => `${topic}/${partition}`

/**
 * True for as long as no partition of an insert has been taken over by a later epoch. Read once, as the insert
 * starts: the server computes scalar subqueries before it reads a row.
 */
export const unfenced =
  `(SELECT count() FROM ${fenceTable} WHERE reader = {reader:String} AND generation = {generation:UInt32} ` +
  "AND mapContains({epochs:Map(String, UInt64)}, concat(topic, ':', toString(`partition`))) " +
  "AND epoch > {epochs:Map(String, UInt64)}[concat(topic, ':', toString(`partition`))]) = 0"

/** The parameters of `unfenced` for the partitions of one insert. */
export const fenceParameters = (positions: readonly Position[]): Record<string, unknown> => ({
  reader: positions[0]!.reader,
  generation: positions[0]!.generation,
  epochs: new Map(positions.map(({ topic, partition, epoch }) => [`${topic}:${partition}`, epoch])),
})

const writeFence = async ({ clickhouse, cluster }: FenceParts, position: Position): Promise<void> => {
  const command = {
    query:
      `INSERT INTO ${fenceTable} (reader, generation, topic, \`partition\`, epoch) ` +
      'SELECT {reader:String}, {generation:UInt32}, {topic:String}, {partition:UInt32}, {epoch:UInt64}',
    query_params: { ...placeOf(position), epoch: position.epoch },
    // Two writers may send the same row; the second must not be taken for a copy that can be left out.
    clickhouse_settings: {
      async_insert: 0,
      insert_deduplicate: 0,
      wait_end_of_query: 1,
      ...linearizable(cluster),
    },
  } as const
  await oneAfterAnother(cluster, () => clickhouse.command(command))
}

const readFence = async ({ clickhouse, cluster }: FenceParts, position: Position): Promise<number> => {
  const answer = await clickhouse.query({
    query:
      `SELECT toString(max(epoch)) AS epoch FROM ${fenceTable} WHERE reader = {reader:String} ` +
      'AND generation = {generation:UInt32} AND topic = {topic:String} AND `partition` = {partition:UInt32}',
    query_params: placeOf(position),
    clickhouse_settings: linearizable(cluster),
    format: 'JSONEachRow',
  })
  const [row] = await answer.json<{ epoch: string }>()
  return Number(row?.epoch ?? 0)
}

/**
 * Throws `position_moved` where ClickHouse knows the epoch already, or a higher one. Were nothing done about it,
 * every insert would be refused without a word while the position moves on, and rows would be lost; or, where it is
 * the same one, inserts of its first owner that are still on their way would pass.
 */
const passFence = async (pool: Pool, position: Position, fence: number): Promise<void> => {
  const { reader, generation, topic, partition, epoch } = position
  if (fence < epoch) return
  await transaction(pool, (client) =>
    client.query(
      `update embudo.positions set epoch = $1
       where reader = $2 and generation = $3 and topic = $4 and partition = $5 and epoch < $1`,
      [fence, reader, generation, topic, partition],
    ),
  )
  throw positionMoved(position)
}

const placeOf = ({ reader, generation, topic, partition }: Position) => ({
  reader,
  generation,
  topic,
  partition,
})

const drain = async (parts: FenceParts, position: Position, options: DrainOptions): Promise<void> => {
  const now = options.now ?? Date.now
  const drainMs = options.drainMs ?? 10_000
  // Those that began before the fence, and a few that began after it and do no harm; later ones need no wait.
  let left = await running(parts, position)
  const deadline = now() + drainMs
  for (let waitMs = 5; left.length > 0; waitMs = Math.min(waitMs * 2, 200)) {
    await sleep(waitMs, undefined, { signal: options.signal })
    if (now() > deadline + drainMs) {
      throw new EmbudoError(
        'insert_still_running',
        `${left.join(', ')} cannot be ended; KILL QUERY it by hand`,
        {
          facts: { queryIds: left },
          retriable: true,
        },
      )
    }
    if (now() > deadline) {
      await parts.clickhouse.command({
        query: `KILL QUERY${onCluster(parts.cluster)} WHERE query_id IN {ids:Array(String)} ASYNC`,
        query_params: { ids: left },
      })
    }
    const still = new Set(await running(parts, position))
    left = left.filter((id) => still.has(id))
  }
}

/** The inserts that may bring rows of a partition: those of others are not waited for, and never ended. */
const running = async ({ clickhouse, cluster }: FenceParts, position: Position): Promise<string[]> => {
  const prefix = insertsOf(position)
  const answer = await clickhouse.query({
    query:
      `SELECT query_id FROM ${processesOf(cluster)} ` +
      'WHERE current_database = currentDatabase() AND startsWith(query_id, {prefix:String})',
    query_params: { prefix },
    format: 'JSONEachRow',
  })
  const ids = (await answer.json<{ query_id: string }>()).map((row) => row.query_id)
  return ids.filter((id) => {
    const [places = ''] = id.slice(prefix.length).split(':', 1)
    return !places.includes('/') || places.split(',').includes(placeText(position))
  })
}

/** Which of these offsets the tables hold. Of use after a take-over alone: nobody else can add any. */
export const lookFor = async (
  { clickhouse, cluster }: FenceParts,
  { generation, topic, partition }: Position,
  offsets: readonly number[],
): Promise<Set<number>> => {
  try {
    const answer = await clickhouse.query({
      query:
        `SELECT DISTINCT toString(_offset) AS o FROM ${allEvents(generation)} ` +
        'WHERE _topic = {topic:String} AND _partition = {partition:UInt32} AND _offset IN {offsets:Array(UInt64)}',
      query_params: { topic, partition, offsets },
      clickhouse_settings: linearizable(cluster),
      format: 'JSONEachRow',
    })
    return new Set((await answer.json<{ o: string }>()).map((row) => Number(row.o)))
  } catch (error) {
    throw clickhouseError(error, `look for rows of ${topic}:${partition}`)
  }
}

/** Runs in place of offsets: after a position was lost far back there may be millions of them, and few runs. */
const look = async ({ clickhouse, cluster }: FenceParts, position: Position): Promise<Runs> => {
  const answer = await clickhouse.query({
    query:
      'SELECT toString(min(o)) AS first, toString(max(o)) AS last FROM ' +
      '(SELECT _offset AS o, _offset - row_number() OVER (ORDER BY _offset) AS run ' +
      `FROM ${allEvents(position.generation)} ` +
      'WHERE _topic = {topic:String} AND _partition = {partition:UInt32} AND _offset >= {offset:UInt64}) ' +
      'GROUP BY run ORDER BY min(o)',
    query_params: { topic: position.topic, partition: position.partition, offset: position.nextOffset },
    clickhouse_settings: linearizable(cluster),
    format: 'JSONEachRow',
  })
  const rows = await answer.json<{ first: string; last: string }>()
  return rows.map(({ first, last }) => [Number(first), Number(last)])
}
