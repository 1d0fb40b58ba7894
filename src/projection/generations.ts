import type { Pool } from 'pg'
import { EmbudoError } from '../define/error.ts'

/**
 * A projection's rows come in generations: one is live, one may be building beside it. Which one is live is
 * told by one row.
 */
export interface Generation {
  readonly projection: string
  readonly generation: number
  readonly version: number
  readonly state: 'building' | 'live' | 'retired'
  readonly createdAt: Date
  /** How many records the log held when it was begun. */
  readonly target: number
}

export const listGenerations = async (pool: Pool): Promise<Generation[]> => {
  const { rows } = await pool.query<Generation & { target: string }>(
    `select projection, generation, version, state, created_at as "createdAt", target
     from embudo.generations order by projection, generation`,
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

/**
 * Asks for a new generation beside the live one. Throws `rebuild_running` where one is building already.
 * `target`: how many records the log holds now.
 */
export const beginGeneration = async (
  pool: Pool,
  projection: string,
  version: number,
  target: number,
): Promise<number> => {
  const { rows } = await pool.query<{ generation: number }>(
    `insert into embudo.generations (projection, generation, version, state, target)
     select $1, max(generation) + 1, $2, 'building', $3 from embudo.generations where projection = $1
     on conflict do nothing
     returning generation`,
    [projection, version, target],
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
