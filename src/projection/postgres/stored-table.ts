import type { PoolClient } from 'pg'
import { EmbudoError } from '../../define/error.ts'
import type { PostgresProjection } from '../definition.ts'
import type { ComparedTable } from './differences.ts'
import { tableOf } from './table.ts'

/** A generation's table as it is, beside what the code at hand would make it. */
export interface StoredTable extends ComparedTable {
  /** Without the partition. */
  readonly keyColumns: readonly string[]
  readonly newColumns: readonly string[]
  readonly droppedColumns: readonly string[]
  readonly retypedColumns: readonly string[]
}

/** Throws `not_comparable` where its rows have other keys. */
export const storedTable = async (
  client: PoolClient,
  projection: PostgresProjection,
  generation: number,
): Promise<StoredTable> => {
  const { name, keys, columns } = tableOf(projection, generation)
  const { rows } = await client.query<{ name: string; found: string | null; wanted: string | null }>(
    `select name, found::regtype::text as found, wanted::regtype::text as wanted
     from (select attname::text as name, atttypid as found from pg_attribute
           where attrelid = to_regclass($1) and attnum > 0 and not attisdropped) as stored
     full join (select * from unnest($2::text[], $3::text[]) as c (name, wanted)) as coded using (name)`,
    [name, columns.map((column) => column.name), columns.map(({ type }) => type)],
  )
  const named = (isSo: (row: (typeof rows)[number]) => boolean) => rows.filter(isSo).map((row) => row.name)
  const newColumns = named(({ found }) => found === null)
  const droppedColumns = named(({ wanted }) => wanted === null)
  const retypedColumns = named(({ found, wanted }) => found !== null && wanted !== null && found !== wanted)
  const unlike = new Set([...newColumns, ...droppedColumns, ...retypedColumns])
  const { rows: primary } = await client.query<{ name: string }>(
    `select a.attname::text as name from pg_index i
     join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)
     where i.indrelid = to_regclass($1) and i.indisprimary`,
    [name],
  )
  const [theirs, ours] = [primary, keys].map((some) =>
    some
      .map((key) => key.name)
      .toSorted()
      .join(', '),
  )
  if (theirs !== ours || keys.some((key) => unlike.has(key.name))) {
    throw new EmbudoError(
      'not_comparable',
      `${projection.name} cannot be compared with its live rows: their key is ${theirs || 'none'}, and the code at hand has ${ours}`,
    )
  }
  return {
    ...{ name, keys, newColumns, droppedColumns, retypedColumns },
    others: columns.filter((column) => !keys.includes(column) && !unlike.has(column.name)),
    keyColumns: keys.map((key) => key.name).filter((key) => key !== '_partition'),
    measures: projection.kind === 'tally' ? projection.measures : undefined,
  }
}
