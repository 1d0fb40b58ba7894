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
