import type { Pool } from 'pg'
import { transaction } from '../../postgres/transaction.ts'
import type { PostgresProjection } from '../definition.ts'
import { createTableSql, type Table, viewName, viewSql } from './table.ts'

/** Makes a generation's table, and the view where there is none yet. Two processes may do so at once. */
export const prepareGeneration = (
  pool: Pool,
  projection: PostgresProjection,
  table: Table,
  isLive: boolean,
): Promise<void> =>
  transaction(pool, async (client) => {
    await client.query(`select pg_advisory_xact_lock(hashtext('embudo tables'))`)
    await client.query(createTableSql(projection, table))
    if (!isLive) return
    const { rows } = await client.query(`select to_regclass($1) as view`, [viewName(projection)])
    if (rows[0].view === null) await client.query(viewSql(projection, table))
  })

/** Drops what is left of retired generations, once nobody can be feeding or reading them any more. */
export const dropRetired = async (
  pool: Pool,
  tableName: (projection: string, generation: number) => string,
): Promise<void> => {
  const { rows } = await pool.query<{ projection: string; generation: number }>(
    `select projection, generation from embudo.generations
     where state = 'retired' and retired_at < now() - interval '10 seconds'`,
  )
  for (const { projection, generation } of rows) {
    await pool.query(`drop table if exists ${tableName(projection, generation)}`)
    for (const table of ['embudo.positions', 'embudo.partition_status']) {
      await pool.query(`delete from ${table} where reader = $1 and generation = $2`, [projection, generation])
    }
    await pool.query(
      `delete from embudo.generations where projection = $1 and generation = $2 and state = 'retired'`,
      [projection, generation],
    )
  }
}
