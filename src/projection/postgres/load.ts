import pg from 'pg'
import type { Sql } from '../../consumer/positions.ts'
import type { Row } from '../../define/read-model.ts'
import type { Table } from './table.ts'

/** The rows of the keys that the table has, in the form that folds see: what was written is what is read. */
export const loadRows = async (
  sql: Sql,
  table: Table,
  keys: readonly string[],
): Promise<Map<string, Row>> => {
  const key = table.keys[0]!
  const columns = table.columns.map((column) => column.quoted).join(', ')
  const { rows } = await sql.query<Row>({
    text: `select ${columns} from ${table.name} where ${key.quoted} = any($1::${key.type}[])`,
    values: [keys],
    types: foldTypes,
  })
  return new Map(rows.map((row) => [String(row[key.name]), row]))
}

const parsers = new Map<number, (text: string) => unknown>([
  [pg.types.builtins.INT8, Number],
  [pg.types.builtins.TIMESTAMPTZ, (text) => new Date(timestampText(text)).toISOString()],
  [pg.types.builtins.NUMERIC, (text) => text],
])

/** `2026-11-20 10:00:00+00` as a form that every engine must parse. Years below 1 have no other use here. */
const timestampText = (text: string): string => text.replace(' ', 'T').replace(/([+-]\d\d)$/, '$1:00')

/** What a query's values become, so that folds see them. */
export const foldTypes: pg.CustomTypesConfig = {
  getTypeParser: (oid: number) => parsers.get(oid) ?? pg.types.getTypeParser(oid, 'text'),
} as pg.CustomTypesConfig
