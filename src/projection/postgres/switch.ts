import { setTimeout as delay } from 'node:timers/promises'
import type { Pool, PoolClient } from 'pg'
import { transaction } from '../../postgres/transaction.ts'
import type { PostgresProjection } from '../definition.ts'
import { type Table, viewName, viewSql } from './table.ts'

export interface Switch {
  readonly projection: PostgresProjection
  readonly from: number
  readonly to: number
  readonly table: Table
}

/** How long the old generation may stand still while the new one does its last steps. */
const standstillMs = 2_000

/**
 * Makes a generation the live one, if it is nowhere behind: in one transaction the old one's positions are
 * locked, so that it stands still; the new one is waited for; the view is replaced and both states change.
 * Readers see the old rows or the new ones and never neither: they wait for the lock on the view, for as long
 * as this transaction takes from there on. False where the new one did not get there in time, or readers held
 * the view for too long: nothing has changed then, try again.
 */
export const switchGeneration = async (pool: Pool, change: Switch): Promise<boolean> => {
  try {
    return await transaction(pool, (client) => attempt(client, change))
  } catch (error) {
    if ((error as { code?: string }).code === lockNotAvailable) return false
    throw error
  }
}

/** Postgres's code where `lock_timeout` has run out. */
const lockNotAvailable = '55P03'

const attempt = async (client: PoolClient, { projection, from, to, table }: Switch): Promise<boolean> => {
  const { name } = projection
  await client.query(`set local lock_timeout = '1s'`)
  const { rows: states } = await client.query<{ generation: number; state: string }>(
    `select generation, state from embudo.generations where projection = $1 and generation = any($2) order by generation for update`,
    [name, [from, to]],
  )
  if (states.map((row) => row.state).join() !== 'live,building') return false
  await client.query(
    `select from embudo.positions where reader = $1 and generation = $2 order by topic, partition for update`,
    [name, from],
  )
  if (!(await hasCaughtUp(client, name, from, to))) return false
  await replaceView(client, projection, table)
  await client.query(
    `update embudo.generations set state = 'retired', retired_at = now() where projection = $1 and generation = $2`,
    [name, from],
  )
  await client.query(
    `update embudo.generations set state = 'live', live_at = now() where projection = $1 and generation = $2`,
    [name, to],
  )
  // Whoever still feeds the old one can commit nothing more.
  await client.query(`update embudo.positions set epoch = epoch + 1 where reader = $1 and generation = $2`, [
    name,
    from,
  ])
  return true
}

/** Replaced where the columns allow it, so that it keeps what was granted on it. */
const replaceView = async (
  client: PoolClient,
  projection: PostgresProjection,
  table: Table,
): Promise<void> => {
  await client.query('savepoint before_view')
  try {
    await client.query(viewSql(projection, table).replace(/^create view/, 'create or replace view'))
  } catch (error) {
    if ((error as { code?: string }).code !== invalidTableDefinition) throw error
    await client.query('rollback to savepoint before_view')
    await client.query(`drop view if exists ${viewName(projection)}`)
    await client.query(viewSql(projection, table))
  }
}

/** Postgres's code where a view would lose or change a column. */
const invalidTableDefinition = '42P16'

/** Polled without a lock on the new one's positions: it has to move them. Positions never go back. */
const hasCaughtUp = async (
  client: PoolClient,
  reader: string,
  from: number,
  to: number,
): Promise<boolean> => {
  for (const deadline = performance.now() + standstillMs; performance.now() < deadline; await delay(5)) {
    const { rows } = await client.query<{ behind: number }>(
      `select count(*)::integer as behind from embudo.positions as old
       left join embudo.positions as new on new.reader = old.reader and new.generation = $3
         and new.topic = old.topic and new.partition = old.partition
       where old.reader = $1 and old.generation = $2 and coalesce(new.next_offset, 0) < old.next_offset`,
      [reader, from, to],
    )
    if (rows[0]!.behind === 0) return true
  }
  return false
}
