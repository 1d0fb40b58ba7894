import type { Decimal, EventCatalog, Personal, TopicName } from './event.ts'

/**
 * A column as SQL writes it: `'text primary key'`, `'integer not null default 0'`. Besides Postgres's own types
 * there is `personal`: text that only the edge may open. `json<T>()` is a jsonb column with a TypeScript shape.
 */
export type Column = ColumnText | JsonColumn<unknown>

type ColumnText = `${SqlType}${'' | ` ${string}`}`
type SqlType = keyof ValueBySqlType

interface ValueBySqlType {
  text: string
  integer: number
  /** As a number: counts stay below 2^53. */
  bigint: number
  'double precision': number
  boolean: boolean
  numeric: Decimal
  timestamptz: string
  personal: Personal<string>
}

export interface JsonColumn<Value> {
  readonly sql: string
  /** Never set: carries the type. */
  readonly shape?: Value
}

export const json: {
  <Value>(rest: 'not null'): JsonColumn<Value>
  <Value>(): JsonColumn<Value | null>
} = (rest = '') => ({ sql: `jsonb ${rest}`.trim() })

export type Columns = Readonly<Record<string, Column>>

/** A row as folds see it. Columns are nullable unless they say `not null` or `primary key`. */
export type RowOf<C extends Columns> = { [Name in keyof C]: ValueOfColumn<C[Name]> }

/**
 * A function that answers rows, refused where it names something else than a column. The compiler by itself
 * lets a function answer more than it has to, and a mistyped name beside `...row` would go unseen.
 */
export type AnswersOnly<C, Function> = Function extends (...input: never[]) => infer Answer
  ? [Unknown<Answer, C>] extends [never]
    ? Function
    : `there is no column ${Unknown<Answer, C> & string}`
  : Function

/** Such functions by the event types of a topic. */
export type ByEvent<Name extends TopicName, C, Functions> = {
  readonly [Type in keyof Functions]: Type extends keyof EventCatalog[Name]
    ? AnswersOnly<C, Functions[Type]>
    : `${Name} has no event ${Type & string}`
}

type Unknown<Answer, Columns> = Answer extends object ? Exclude<keyof Answer, keyof Columns> : never

type ValueOfColumn<C> =
  C extends JsonColumn<infer Value>
    ? C extends { sql: string }
      ? Value
      : never
    : C extends string
      ? ValueOfText<C> | (C extends `${string}${'not null' | 'primary key'}${string}` ? never : null)
      : never

type ValueOfText<Text extends string> = {
  [Type in SqlType]: Text extends Type | `${Type} ${string}` ? ValueBySqlType[Type] : never
}[SqlType]

/** `leadId` -> `lead_id`: a read model's key column is named for the topic's subject. */
export type SnakeCase<Text extends string> = Text extends `${infer Head}${infer Rest}`
  ? `${Head extends Lowercase<Head> ? Head : `_${Lowercase<Head>}`}${SnakeCase<Rest>}`
  : ''

export const snakeCase = (text: string): string =>
  text.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

export const sqlOf = (column: Column): string =>
  typeof column === 'string' ? column.replace(/^personal\b/, 'text') : column.sql

export const isPersonal = (column: Column): boolean =>
  typeof column === 'string' && /^personal\b/.test(column)

export const isKey = (column: Column): boolean => /\bprimary key\b/i.test(sqlOf(column))
