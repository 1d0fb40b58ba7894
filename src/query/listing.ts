import { type Column, type Columns, isKey, isPersonal, sqlOf } from '../define/columns.ts'
import { EmbudoError } from '../define/error.ts'

/** Rows that can be paged through: where they come from, under which names they are shown, what they are. */
export interface Listing {
  readonly name: string
  /** Quoted, schema included. */
  readonly from: string
  readonly fields: readonly ListedField[]
  /** The fields that tell one row from another. */
  readonly keys: readonly ListedField[]
}

export interface ListedField {
  readonly name: string
  /** SQL over the columns of `from`: made from definitions, never from a request. */
  readonly expression: string
  readonly type: ListedType
  readonly nullable: boolean
  readonly isPersonal: boolean
}

const listedTypes = [
  'text',
  'integer',
  'bigint',
  'double precision',
  'boolean',
  'numeric',
  'timestamptz',
  'jsonb',
] as const

export type ListedType = (typeof listedTypes)[number]

interface Model {
  readonly name: string
  readonly columns: Columns
}

/** A read model or tally, read through the view of its name. */
export const listingOf = ({ name, columns }: Model): Listing => {
  const fields = Object.entries(columns).map(([column, declared]) => fieldOf(column, column, declared))
  return {
    name,
    from: `public.${identifier(name)}`,
    fields,
    keys: fields.filter((field) => isKey(columns[field.name]!)),
  }
}

/** The column `column` of a model, shown as `name`. */
export const fieldOf = (name: string, column: string, declared: Column): ListedField => {
  const sql = sqlOf(declared)
  const type = listedTypes.find((candidate) => new RegExp(`^${candidate}\\b`, 'i').test(sql))
  if (type === undefined)
    throw new EmbudoError('column_unsupported', `${column}: ${sql} is no column type that can be read`)
  return {
    name,
    expression: identifier(column),
    type,
    nullable: !/\b(not null|primary key)\b/i.test(sql),
    isPersonal: isPersonal(declared),
  }
}

export const identifier = (name: string): string => `"${name.replaceAll('"', '""')}"`
