import type { Pool, PoolClient } from 'pg'
import { EmbudoError } from '../define/error.ts'
import type { Comparison } from './generation-kind.ts'

/**
 * A projection's rows come in generations. One is live: what is read. One may be building beside it, from the
 * log's start. The one that was live before is kept as `previous` and fed on, so that going back to it is never
 * going back in time. A retired one is dropped once nobody can be feeding or reading it any more.
 */
export interface Generation {
  readonly projection: string
  readonly generation: number
  readonly version: number
  readonly state: 'building' | 'live' | 'previous' | 'retired'
  readonly createdAt: Date
  readonly liveAt: Date | null
  readonly previousAt: Date | null
  /** How many records the log held when it was begun. */
  readonly target: number
  readonly paused: boolean
  /** Records a second, over all its partitions; null: as fast as it goes. */
  readonly maxPerSecond: number | null
  /** Whether it becomes the live one by itself. */
  readonly switchesItself: boolean
  /** How it compared with the live one. */
  readonly verified: Verified | null
  /** Why it could not be looked after the last time, and by which process. */
  readonly error: string | null
  readonly errorOf: string | null
  readonly samples: readonly Sample[]
  /** When this was read, by Postgres's clock, as those of the samples are. */
  readonly asOfMs: number
}

/** What a comparison found, when, and between which. A kind may say more than `Comparison` has. */
export interface Verified extends Comparison {
  readonly at: string
  readonly live: { readonly generation: number; readonly version: number }
  readonly other: { readonly generation: number; readonly version: number }
}

/** How many records were behind all positions of a generation at a moment, in milliseconds since the epoch. */
export type Sample = readonly [atMs: number, records: number]

export const listGenerations = async (pool: Pool): Promise<Generation[]> => {
  const { rows } = await pool.query<Generation & { target: string }>(
    `select projection, generation, version, state, created_at as "createdAt", live_at as "liveAt",
       previous_at as "previousAt", target, paused, max_per_second as "maxPerSecond",
       switches_itself as "switchesItself", verified, error, error_of as "errorOf", samples,
       (extract(epoch from clock_timestamp()) * 1000)::double precision as "asOfMs"
     from embudo.generations where dropped_at is null order by projection, generation`,
  )
  return rows.map((row) => ({ ...row, target: Number(row.target) }))
}

/** The first generation is live from the start: there is nothing to show before it. */
export const ensureFirstGeneration = async (
  pool: Pool,
  projection: string,
  version: number,
): Promise<void> => {
  await pool.query(
    `insert into embudo.generations (projection, generation, version, state, live_at)
     select $1, 1, $2, 'live', now()
     where not exists (select from embudo.generations where projection = $1)
     on conflict do nothing`,
    [projection, version],
  )
}

export interface RebuildOptions {
  readonly maxPerSecond?: number | null
  /** Whether it becomes the live one by itself. Default true. */
  readonly switchesItself?: boolean
  /** Also of a topic that has lost its beginning: its rows are what the rest of the log makes of them. */
  readonly force?: boolean
}

/**
 * Asks for a new generation beside the live one, and lets the previous one go. Throws `rebuild_running` where one
 * is building already. `target`: how many records the log holds now.
 */
export const beginGeneration = async (
  pool: Pool,
  projection: string,
  version: number,
  target: number,
  { maxPerSecond = null, switchesItself = true }: RebuildOptions = {},
): Promise<number> => {
  const { rows } = await pool.query<{ generation: number }>(
    `with begun as (
       insert into embudo.generations (projection, generation, version, state, target, max_per_second, switches_itself)
       select $1, max(generation) + 1, $2, 'building', $3, $4, $5 from embudo.generations where projection = $1
       on conflict do nothing
       returning generation
     ), retired as (
       update embudo.generations set state = 'retired', retired_at = now()
       where projection = $1 and state = 'previous' and exists (select from begun)
     )
     select generation from begun`,
    [projection, version, target, maxPerSecond, switchesItself],
  )
  if (rows[0] === undefined) {
    throw new EmbudoError(
      'rebuild_running',
      `${projection} is being rebuilt already; \`npx embudo projections list\` shows how far it is`,
      { facts: { projection } },
    )
  }
  return rows[0].generation
}

/** Whether a generation of that version was begun after the live one, whatever became of it. */
export const wasBegun = async (pool: Pool, projection: string, version: number): Promise<boolean> => {
  const { rows } = await pool.query(
    `select from embudo.generations as g join embudo.generations as live using (projection)
     where projection = $1 and live.state = 'live' and g.generation > live.generation and g.version = $2 limit 1`,
    [projection, version],
  )
  return rows.length > 0
}

export type GenerationChange = Partial<
  Pick<Generation, 'paused' | 'maxPerSecond' | 'switchesItself' | 'verified' | 'error' | 'errorOf'>
>

const columnOf: Readonly<Record<keyof GenerationChange, string>> = {
  paused: 'paused',
  maxPerSecond: 'max_per_second',
  switchesItself: 'switches_itself',
  verified: 'verified',
  error: 'error',
  errorOf: 'error_of',
}

export const changeGeneration = async (
  pool: Pool,
  { projection, generation }: Pick<Generation, 'projection' | 'generation'>,
  change: GenerationChange,
): Promise<void> => {
  const names = Object.keys(change) as (keyof GenerationChange)[]
  const set = names.map((name, index) => `${columnOf[name]} = $${index + 3}`).join(', ')
  await pool.query(`update embudo.generations set ${set} where projection = $1 and generation = $2`, [
    projection,
    generation,
    ...names.map((name) => change[name]),
  ])
}

/** As `ttlMs` in consumer/membership.ts: who has not been seen for as long is dead. */
const deadAfterMs = 8_000

/** For a process that can look after it: what another one that lives could not is left to that one. */
export const clearError = async (
  pool: Pool,
  { projection, generation }: Pick<Generation, 'projection' | 'generation'>,
  worker: string,
): Promise<void> => {
  await pool.query(
    `update embudo.generations set error = null, error_of = null
     where projection = $1 and generation = $2 and (coalesce(error_of, $3) = $3 or not exists (
       select from embudo.workers where id = error_of and seen_at >= now() - $4 * interval '1 millisecond'))`,
    [projection, generation, worker, deadAfterMs],
  )
}

const samplesMs = 10_000

/** Notes how far it is now, and forgets what is older than `samplesMs`. */
export const sampleProgress = async (
  pool: Pool,
  { projection, generation }: Pick<Generation, 'projection' | 'generation'>,
): Promise<void> => {
  await pool.query(
    `update embudo.generations set samples =
       (select coalesce(jsonb_agg(kept order by (kept ->> 0)::double precision), '[]') from (
          select kept from jsonb_array_elements(samples) as kept
          where (kept ->> 0)::double precision > extract(epoch from now()) * 1000 - $3
          union all
          select jsonb_build_array(round(extract(epoch from now()) * 1000), coalesce(sum(next_offset - origin), 0))
          from embudo.positions where reader = $1 and positions.generation = $2) as all_of_them)
     where projection = $1 and generation = $2`,
    [projection, generation, samplesMs],
  )
}

/** False where it has another state by now. Its tables go a while later, when nobody feeds or reads it any more. */
export const retireGeneration = async (
  pool: Pool,
  { projection, generation, state }: Pick<Generation, 'projection' | 'generation' | 'state'>,
): Promise<boolean> => {
  const { rowCount } = await pool.query(
    `update embudo.generations set state = 'retired', retired_at = now()
     where projection = $1 and generation = $2 and state = $3 and state <> 'live'`,
    [projection, generation, state],
  )
  return rowCount === 1
}

/** Retired long enough for every process to have noticed. */
export const droppable = async (pool: Pool, projection: string): Promise<number[]> => {
  const { rows } = await pool.query<{ generation: number }>(
    `select generation from embudo.generations
     where projection = $1 and state = 'retired' and dropped_at is null and retired_at < now() - interval '10 seconds'`,
    [projection],
  )
  return rows.map(({ generation }) => generation)
}

/**
 * Notes that its tables are gone, and removes what else there is of it, and of those before: a process that was
 * stopped for long may have made some of that anew.
 */
export const markDropped = async (pool: Pool, projection: string, generation: number): Promise<void> => {
  await pool.query(
    `update embudo.generations set dropped_at = now() where projection = $1 and generation = $2 and state = 'retired'`,
    [projection, generation],
  )
  for (const table of ['positions', 'partition_status', 'dead_letters']) {
    await pool.query(
      `delete from embudo.${table} as t using embudo.generations as g
       where g.projection = $1 and g.dropped_at is not null and t.reader = g.projection and t.generation = g.generation`,
      [projection],
    )
  }
}

/** How many records `behind` has not applied that `ahead` has, over all partitions. */
export const recordsBehind = async (
  sql: Pick<Pool | PoolClient, 'query'>,
  projection: string,
  { ahead, behind }: { readonly ahead: number; readonly behind: number },
): Promise<number> => {
  const { rows } = await sql.query<{ records: string }>(
    `select coalesce(sum(greatest(0, a.next_offset - coalesce(b.next_offset, a.origin))), 0) as records
     from embudo.positions as a
     left join embudo.positions as b on b.reader = a.reader and b.generation = $3
       and b.topic = a.topic and b.partition = a.partition
     where a.reader = $1 and a.generation = $2`,
    [projection, ahead, behind],
  )
  return Number(rows[0]!.records)
}
