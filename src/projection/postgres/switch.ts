import type { PoolClient } from 'pg'
import type { PostgresProjection } from '../definition.ts'
import { type Table, viewName, viewSql } from './table.ts'

/**
 * Lets the model's name show a generation's table; whoever reads it waits until the transaction ends. Replaced
 * where the columns allow it; where a column goes or changes, the view is made anew, with what was granted on it.
 */
export const showGeneration = async (
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
    const grants = await grantsOn(client, viewName(projection))
    await client.query(`drop view if exists ${viewName(projection)}`)
    await client.query(viewSql(projection, table))
    for (const grant of grants) await client.query(grant)
  }
}

/** Postgres's code where a view would lose or change a column. */
const invalidTableDefinition = '42P16'

/** As statements that grant it again; the owner's own rights come with the view. */
const grantsOn = async (client: PoolClient, view: string): Promise<string[]> => {
  const { rows } = await client.query<{ statement: string }>(
    `select format('grant %s on %s to %s%s', a.privilege_type, $1::text,
       case when a.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end,
       case when a.is_grantable then ' with grant option' else '' end) as statement
     from pg_class c, aclexplode(c.relacl) a where c.oid = to_regclass($1::text) and a.grantee <> c.relowner`,
    [view],
  )
  return rows.map(({ statement }) => statement)
}
