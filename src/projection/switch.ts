import { setTimeout as delay } from 'node:timers/promises'
import type { Pool, PoolClient } from 'pg'
import { transaction } from '../postgres/transaction.ts'
import type { GenerationKind } from './generation-kind.ts'
import { recordsBehind } from './generations.ts'

export interface Switch {
  /** Its name. */
  readonly projection: string
  /** The live one. */
  readonly from: number
  /** One that is building, or the previous one. */
  readonly to: number
  readonly kind: Pick<GenerationKind, 'makeLive'>
}

/** How long the live one may stand still while the other does its last steps. */
const standstillMs = 2_000

/**
 * Makes a generation the live one, if it is nowhere behind: in one transaction the live one's positions are
 * locked, so that it stands still; the other is waited for; what people read is replaced and both states change.
 * Readers see the old rows or the new ones and never neither. The one that was live is the previous one from then
 * on, and is fed as before.
 */
export const switchGeneration = async (pool: Pool, change: Switch): Promise<Switched> => {
  try {
    return await transaction(pool, (client) => attempt(client, change))
  } catch (error) {
    if (disturbances.has((error as { code?: string }).code ?? '')) return 'disturbed'
    throw error
  }
}

/**
 * Nothing has changed but where it is `switched`. `behind`: the other did not get there in time. `disturbed`: readers
 * held what is replaced for too long, or another switch came first.
 */
export type Switched = 'switched' | 'behind' | 'disturbed'

/** Postgres's codes where `lock_timeout` has run out, and where two wait for each other. */
const disturbances = new Set(['55P03', '40P01'])

const attempt = async (client: PoolClient, { projection, from, to, kind }: Switch): Promise<Switched> => {
  await client.query(`set local lock_timeout = '1s'`)
  const { rows } = await client.query<{ generation: number; state: string }>(
    `select generation, state from embudo.generations where projection = $1 and generation = any($2) order by generation for update`,
    [projection, [from, to]],
  )
  const stateOf = (generation: number) => rows.find((row) => row.generation === generation)?.state
  if (stateOf(from) !== 'live' || !['building', 'previous'].includes(stateOf(to) ?? '')) return 'disturbed'
  await lockPositions(client, projection, from)
  if (!(await hasCaughtUp(client, projection, from, to))) return 'behind'
  await lockPositions(client, projection, to)
  await kind.makeLive(client, to)
  await changeStates(client, projection, from, to)
  return 'switched'
}

const lockPositions = async (client: PoolClient, reader: string, generation: number): Promise<void> => {
  await client.query(
    `select from embudo.positions where reader = $1 and generation = $2 order by topic, partition for update`,
    [reader, generation],
  )
}

/** Polled without a lock on the other's positions: it has to move them. Positions never go back. */
const hasCaughtUp = async (
  client: PoolClient,
  projection: string,
  from: number,
  to: number,
): Promise<boolean> => {
  for (const deadline = performance.now() + standstillMs; performance.now() < deadline; await delay(5))
    if ((await recordsBehind(client, projection, { ahead: from, behind: to })) === 0) return true
  return false
}

/** One by one: at most one of a projection's generations is live at any moment, and one the previous. */
const changeStates = async (
  client: PoolClient,
  projection: string,
  from: number,
  to: number,
): Promise<void> => {
  await client.query(
    `update embudo.generations set state = 'retired', retired_at = now()
     where projection = $1 and (state = 'previous' or generation = $2)`,
    [projection, to],
  )
  await client.query(
    `update embudo.generations set state = 'previous', previous_at = now() where projection = $1 and generation = $2`,
    [projection, from],
  )
  // A limit and a rest were for the time of building: what is read is fed.
  await client.query(
    `update embudo.generations set state = 'live', live_at = now(), retired_at = null, max_per_second = null, paused = false
     where projection = $1 and generation = $2`,
    [projection, to],
  )
}
