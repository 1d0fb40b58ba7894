import type { PartitionOf, Sql } from '../consumer/positions.ts'
import { EmbudoError, messageOf } from '../define/error.ts'
import type { LogRecord } from '../log/port.ts'

/** A record on its way into embudo.dead_letters, whole, and why. */
export interface NewLetter {
  readonly offset: number
  /** The record's key as text: later events of it wait behind this one. */
  readonly subject: string
  readonly type: string | undefined
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: Readonly<Record<string, string>>
  readonly appendedAtMs: number
  readonly cause: 'poison' | 'behind'
  readonly code: string | undefined
  readonly error: string | undefined
  /** `discarded`: that was decided before it was read, as in a rebuild. */
  readonly state: 'open' | 'discarded'
}

/** `error`: why it could not be applied; none where it waits behind another. */
export const letterOf = (record: LogRecord, type: string | undefined, error?: unknown): NewLetter => ({
  state: 'open',
  offset: record.offset,
  subject: subjectOf(record),
  type,
  key: record.key,
  value: record.value,
  headers: record.headers(),
  appendedAtMs: record.timestamp,
  cause: error === undefined ? 'behind' : 'poison',
  code: error === undefined ? undefined : error instanceof EmbudoError ? error.code : 'not_applicable',
  error: error === undefined ? undefined : messageOf(error),
})

/** Whose record it is, as dead letters name it: behind which it waits, and what waits behind it. */
export const subjectOf = ({ key }: LogRecord): string => (key === null ? '' : storable(key.toString('utf8')))

/** One that an operator has decided about already: it is parked only to be counted, and settled at once. */
export const discardedLetter = (record: LogRecord): NewLetter => ({
  ...letterOf(record, undefined),
  cause: 'poison',
  state: 'discarded',
})

/** The columns that `letterArrays` fills, in its order, with their types. */
export const letterColumns: readonly (readonly [name: string, type: string])[] = [
  ['"offset"', 'bigint'],
  ['subject', 'text'],
  ['type', 'text'],
  ['key', 'bytea'],
  ['value', 'bytea'],
  ['headers', 'json'],
  ['appended_at_ms', 'bigint'],
  ['cause', 'text'],
  ['code', 'text'],
  ['error', 'text'],
  ['state', 'text'],
]

/** One array a column, for unnest. */
export const letterArrays = (letters: readonly NewLetter[]): readonly unknown[][] => [
  letters.map((letter) => letter.offset),
  letters.map((letter) => letter.subject),
  letters.map((letter) => (letter.type === undefined ? null : storable(letter.type))),
  letters.map((letter) => letter.key),
  letters.map((letter) => letter.value),
  letters.map((letter) => storable(JSON.stringify(letter.headers).replaceAll('\\u0000', '\\ufffd'))),
  letters.map((letter) => letter.appendedAtMs),
  letters.map((letter) => letter.cause),
  letters.map((letter) => (letter.code === undefined ? null : storable(letter.code))),
  letters.map((letter) => (letter.error === undefined ? null : storableError(letter.error))),
  letters.map((letter) => letter.state),
]

/**
 * Parks records inside the transaction that moves the position behind them. One that is parked already stays as it
 * is.
 */
export const parkLetters = async (
  sql: Sql,
  { reader, generation, topic, partition }: PartitionOf,
  letters: readonly NewLetter[],
): Promise<void> => {
  if (letters.length === 0) return
  await sql.query(
    `insert into embudo.dead_letters (reader, generation, topic, partition, ${letterColumns.map(([name]) => name).join(', ')})
     select $1, $2, $3, $4, r.* from unnest(${letterColumns.map(([, type], index) => `$${index + 5}::${type}[]`).join(', ')}) as r
     on conflict do nothing`,
    [reader, generation, topic, partition, ...letterArrays(letters)],
  )
}

/** Postgres's text holds no NUL; the bytes keep it. */
export const storable = (text: string): string => text.replaceAll('\0', '\ufffd').toWellFormed()

export const storableError = (message: string): string => storable(message.slice(0, 4_000))
