import type { Pool } from 'pg'
import { allEvents, tableName } from './tables.ts'

/** Names of the tables that are read: of the one over all events, and of an event type's own. */
export interface LiveTables {
  readonly all: string
  readonly of: (eventType: string) => string
}

/** Which generation is read stands in one row; undefined before the first one. */
export const liveGeneration = async (pool: Pool, projection: string): Promise<number | undefined> => {
  const { rows } = await pool.query<{ generation: number }>(
    `select generation from embudo.generations where projection = $1 and state = 'live'`,
    [projection],
  )
  return rows[0]?.generation
}

/** Tables of a generation that is no longer live are fed and kept for longer than this. */
const keptMs = 1_000

/**
 * The tables of the live generation, asked for at most once a second. While Postgres is away they cannot change, and
 * are those that were known last.
 */
export const liveEventTables = (
  pool: Pool,
  projection: string,
  nowMs: () => number,
): (() => Promise<LiveTables>) => {
  let generation: number | undefined
  let askedAt = Number.NEGATIVE_INFINITY
  let asking: Promise<number> | undefined

  const ask = async (): Promise<number> => {
    try {
      // Before the first one nothing is there to be read; then it is the first.
      generation = (await liveGeneration(pool, projection)) ?? 1
    } catch (error) {
      if (generation === undefined) throw error
    }
    askedAt = nowMs()
    return generation
  }

  return async () => {
    if (generation === undefined || nowMs() - askedAt >= keptMs) {
      asking ??= ask().finally(() => (asking = undefined))
      await asking
    }
    const live = generation!
    return { all: allEvents(live), of: (eventType) => tableName(eventType, live) }
  }
}
