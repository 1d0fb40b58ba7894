import { type Column, isKey, sqlOf } from '../../define/columns.ts'
import { EmbudoError } from '../../define/error.ts'
import type { Measure } from '../../define/tally.ts'
import type { PostgresProjection } from '../definition.ts'

/** What the SQL of one generation's table is made from. */
export interface Table {
  /** Quoted, schema included. */
  readonly name: string
  readonly columns: readonly TableColumn[]
  readonly keys: readonly TableColumn[]
  readonly others: readonly TableColumn[]
}

export interface TableColumn {
  readonly name: string
  readonly quoted: string
  /** The bare type, for casts: `text`, `bigint`, `jsonb`. */
  readonly type: string
  /** Of a tally's column that is no key: how partial values come together. */
  readonly measure?: Measure | undefined
}

/** Which partition a tally's partial row was counted from. */
const partitionColumn: TableColumn = { name: '_partition', quoted: '"_partition"', type: 'integer' }

export const tableOf = (projection: PostgresProjection, generation: number): Table => {
  const declared = Object.entries(projection.columns)
  const keys = declared.filter(([, column]) => isKey(column)).map(tableColumn)
  const measures = projection.kind === 'tally' ? projection.measures : {}
  const others = declared
    .filter(([, column]) => !isKey(column))
    .map((each) => ({ ...tableColumn(each), measure: measures[each[0]] }))
  if (keys.length === 0) {
    throw new EmbudoError('projection_key', `${projection.name} needs a column with "primary key"`)
  }
  const inexact = projection.kind === 'tally' ? keys.find(({ type }) => inexactKeys.test(type)) : undefined
  if (inexact !== undefined) {
    throw new EmbudoError(
      'projection_key',
      `${projection.name} counts by ${inexact.name}, of the type ${inexact.type}: one value of that has several texts. A key is text, a whole number or a boolean`,
    )
  }
  const allKeys = projection.kind === 'tally' ? [...keys, partitionColumn] : keys
  return {
    name: `embudo.${quote(`${projection.name}_${generation}`)}`,
    columns: [...allKeys, ...others],
    keys: allKeys,
    others,
  }
}

/** What a batch counts together by its text, and Postgres by its value. */
const inexactKeys = /^(numeric|timestamptz|double precision)\b/

/**
 * Rows are rewritten all the time: room in each page keeps the new version beside the old one (HOT), and keys
 * compare by bytes, since batches come sorted that way.
 */
export const createTableSql = (projection: PostgresProjection, table: Table): string => {
  const columns = Object.entries(projection.columns).map(
    ([name, column]) => `${quote(name)} ${declaration(column)}`,
  )
  if (projection.kind === 'tally') columns.push('"_partition" integer not null')
  const keys = table.keys.map((key) => key.quoted).join(', ')
  return `create table if not exists ${table.name} (${columns.join(', ')}, primary key (${keys})) with (fillfactor = 70)`
}

/** What people read: the model's own name, over its live generation. */
export const viewSql = (projection: PostgresProjection, table: Table): string =>
  `create view ${viewName(projection)} as ${projection.kind === 'tally' ? combined(table) : plain(table)}`

export const viewName = (projection: { readonly name: string }): string => `public.${quote(projection.name)}`

export const quote = (identifier: string): string => {
  if (!/^[a-z_][a-z0-9_]{0,55}$/.test(identifier)) {
    throw new EmbudoError(
      'bad_identifier',
      `"${identifier}": names are small letters, digits and _, at most 56`,
    )
  }
  return `"${identifier}"`
}

const plain = (table: Table): string =>
  `select ${table.columns.map((column) => column.quoted).join(', ')} from ${table.name}`

const combined = (table: Table): string => {
  const keys = table.keys.filter((key) => key !== partitionColumn).map((key) => key.quoted)
  const selected = table.others.map(({ quoted, type, measure }) => {
    // sum() of bigint is numeric in Postgres; the column keeps its declared type.
    return `${measure}(${quoted})::${type} as ${quoted}`
  })
  return `select ${[...keys, ...selected].join(', ')} from ${table.name} group by ${keys.join(', ')}`
}

const tableColumn = ([name, column]: [string, Column]): TableColumn => ({
  name,
  quoted: quote(name),
  type: bareType(column),
})

const declaration = (column: Column): string =>
  sqlOf(column)
    .replace(/\s*primary key\b/i, ' not null')
    .replace(/^text\b/i, 'text collate "C"')

const bareType = (column: Column): string =>
  sqlOf(column)
    .replace(/\s+(primary key|not null|default|collate|check|references)\b.*$/i, '')
    .trim()
