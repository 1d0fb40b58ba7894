import type { PoolClient } from 'pg'
import type { Row } from '../../define/read-model.ts'
import type { Measure } from '../../define/tally.ts'
import { rowsSql } from './rows-sql.ts'
import type { Table, TableColumn } from './table.ts'
import { takenInParts } from './taken-in-parts.ts'

/** How folded rows compare with those that the table has under their keys. */
export interface Differences {
  readonly equal: number
  readonly differing: readonly DifferingRow[]
  /** Rows that Postgres cannot hold: a number out of range, a character that no text may have. */
  readonly refused: readonly { readonly row: Row; readonly error: unknown }[]
}

export interface DifferingRow {
  readonly row: Row
  /** Names of columns; all of them where the table has no such row. */
  readonly columns: readonly string[]
  /** As text, by column; null where the table has no such row. */
  readonly stored: Readonly<Record<string, string | null>> | null
  readonly folded: Readonly<Record<string, string | null>>
}

export interface ComparedTable {
  /** Quoted, schema included. */
  readonly name: string
  readonly keys: Table['keys']
  /** Those to compare. */
  readonly others: readonly TableColumn[]
  readonly measures?: Readonly<Record<string, Measure>> | undefined
}

/**
 * Postgres compares, since it says what a value is once it is stored: decimals by value, JSON whatever the order of
 * its members, instants however they are written. Inside the caller's transaction.
 */
export const compareRows = async (
  client: PoolClient,
  table: ComparedTable,
  rows: readonly Row[],
): Promise<Differences> => {
  const differing: DifferingRow[] = []
  const refused = await takenInParts(client, rows, rowsAtOnce, async (some) => {
    differing.push(...(await compareSome(client, table, some)))
  })
  const equal = rows.length - differing.length - refused.length
  return { equal, differing, refused: refused.map(({ item: row, error }) => ({ row, error })) }
}

const rowsAtOnce = 1_000

const compareSome = async (
  client: PoolClient,
  { name, keys, others, measures }: ComparedTable,
  rows: readonly Row[],
): Promise<DifferingRow[]> => {
  const columns = [...keys, ...others]
  const { source, values } = rowsSql(columns, rows)
  const differs = others.map((column) => differenceSql(column, measures?.[column.name], 't', 'r'))
  const texts = (of: string) => columns.map(({ quoted }) => `${of}.${quoted}::text`).join(', ')
  const { rows: found } = await client.query<{
    at: string
    is_stored: boolean
    differs: boolean[]
    stored: (string | null)[]
    folded: (string | null)[]
  }>(
    `select r._at as at, t.${keys[0]!.quoted} is not null as is_stored,
       array[${differs.join(', ')}]::boolean[] as differs,
       array[${texts('t')}]::text[] as stored, array[${texts('r')}]::text[] as folded
     from ${source} left join ${name} as t on ${keys.map(({ quoted }) => `t.${quoted} = r.${quoted}`).join(' and ')}
     where t.${keys[0]!.quoted} is null${differs.map((sql) => ` or ${sql}`).join('')}`,
    values,
  )
  const named = (texts: readonly (string | null)[]) =>
    Object.fromEntries(columns.map((column, index) => [column.name, texts[index]!]))
  return found.map(({ at, is_stored: isStored, differs, stored, folded }) => ({
    row: rows[Number(at) - 1]!,
    columns: others.filter((_, index) => !isStored || differs[index]).map((column) => column.name),
    stored: isStored ? named(stored) : null,
    folded: named(folded),
  }))
}

/**
 * The order of additions decides on the last digits of a sum of doubles, and batches that were added one by one have
 * another than a fold of all.
 */
export const differenceSql = (
  { quoted, type }: TableColumn,
  measure: Measure | undefined,
  one: string,
  other: string,
): string => {
  const [left, right] = [`${one}.${quoted}`, `${other}.${quoted}`]
  const isDistinct = `${left} is distinct from ${right}`
  if (measure !== 'sum' || type !== 'double precision') return `(${isDistinct})`
  const scale = `greatest(abs(${left}), abs(${right}))`
  return `(${isDistinct} and not coalesce(abs(${left} - ${right}) <= 1e-9 * ${scale}, false))`
}
