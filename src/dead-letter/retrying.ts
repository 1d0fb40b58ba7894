import type { Position, Sql } from '../consumer/positions.ts'
import { EmbudoError, messageOf } from '../define/error.ts'
import { storableError } from './letters.ts'

/** A letter that is to be applied after all: its record, with the bytes that an edit gave it. */
export interface RetriedLetter {
  readonly id: string
  readonly offset: number
  /** When it was appended, in milliseconds since the epoch. */
  readonly timestamp: number
  readonly value: Buffer | null
  header(name: string): string | undefined
}

/** What became of letters, to be written with the position under which it is so. */
export interface Settlement {
  /** By id. */
  readonly applied: readonly string[]
  readonly failed: readonly { readonly id: string; readonly error: unknown }[]
}

/** Their offsets travel in the address of a question. */
const pageLetters = 500
const pageBytes = 4 * 1024 * 1024

/**
 * A page of the letters of a partition that somebody wants retried, behind offset `after` and before the position,
 * in the log's order. Empty where there are none.
 */
export const lettersToRetry = async (
  sql: Sql,
  { reader, generation, topic, partition, nextOffset }: Position,
  after: number,
): Promise<RetriedLetter[]> => {
  const { rows } = await sql.query<StoredLetter>(
    `select id, "offset", appended_at_ms, coalesce(edited, value) as value, headers from (
       select *, sum(length) over (order by "offset") - length as before from (
         select *, coalesce(octet_length(coalesce(edited, value)), 0) as length from embudo.dead_letters
         where reader = $1 and generation = $2 and topic = $3 and partition = $4
           and "offset" > $5 and "offset" < $6 and state = 'retrying'
         order by "offset" limit ${pageLetters}) as next) as sized
     where before < ${pageBytes} order by "offset"`,
    [reader, generation, topic, partition, after, nextOffset],
  )
  return rows.map(({ id, headers, value, ...row }) => ({
    id,
    value,
    offset: Number(row.offset),
    timestamp: Number(row.appended_at_ms),
    header: (name) => headers[name],
  }))
}

/**
 * Letters that a position stands before, by offset: it was set back, and the log is read there again. They are
 * settled by what is read.
 */
export const lettersAhead = async (
  sql: Sql,
  { reader, generation, topic, partition, nextOffset }: Position,
): Promise<Map<number, string>> => {
  const { rows } = await sql.query<{ id: string; offset: string }>(
    `select id, "offset" from embudo.dead_letters
     where reader = $1 and generation = $2 and topic = $3 and partition = $4 and "offset" >= $5
       and state in ('open', 'retrying')`,
    [reader, generation, topic, partition, nextOffset],
  )
  return new Map(rows.map(({ id, offset }) => [Number(offset), id]))
}

/** Inside the transaction that moves the position and its counts. */
export const settleLetters = async (sql: Sql, { applied, failed }: Settlement): Promise<void> => {
  if (applied.length > 0) {
    await sql.query(
      `update embudo.dead_letters set state = 'applied', settled_at = now()
       where id = any($1::bigint[]) and state in ('open', 'retrying')`,
      [applied],
    )
  }
  if (failed.length > 0) {
    await sql.query(
      `update embudo.dead_letters as letter
       set state = 'open', attempts = attempts + 1, code = failed.code, error = failed.error
       from unnest($1::bigint[], $2::text[], $3::text[]) as failed (id, code, error)
       where letter.id = failed.id and state in ('open', 'retrying')`,
      [
        failed.map(({ id }) => id),
        failed.map(({ error }) => (error instanceof EmbudoError ? error.code : 'not_applicable')),
        failed.map(({ error }) => storableError(messageOf(error))),
      ],
    )
  }
}

interface StoredLetter {
  readonly id: string
  readonly offset: string
  readonly appended_at_ms: string
  readonly value: Buffer | null
  readonly headers: Readonly<Record<string, string>>
}
