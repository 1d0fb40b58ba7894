import type { Sql } from '../consumer/positions.ts'
import { EmbudoError } from '../define/error.ts'
import { storable } from './letters.ts'

export const letterStates = ['open', 'deciding', 'retrying', 'applied', 'discarded'] as const
export type LetterState = (typeof letterStates)[number]

export interface DeadLetter {
  readonly id: string
  readonly projection: string
  readonly generation: number
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly subject: string
  readonly type: string | null
  readonly cause: 'poison' | 'behind'
  readonly code: string | null
  readonly error: string | null
  readonly state: LetterState
  readonly attempts: number
  /** How many of the same subject wait behind it. */
  readonly waiting: number
  readonly parkedAt: string
  readonly settledAt: string | null
}

/** With the record as the log has it. */
export interface WholeLetter extends DeadLetter {
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: Readonly<Record<string, string>>
  readonly appendedAt: string
}

export interface LetterQuery {
  readonly projection?: string | undefined
  readonly topic?: string | undefined
  readonly subject?: string | undefined
  readonly code?: string | undefined
  /** Default: those that are not settled. */
  readonly state?: LetterState | undefined
  /** Without those that only wait behind another. */
  readonly poisonOnly?: boolean | undefined
  readonly limit: number
  /** As the page before gave it. */
  readonly cursor?: string | undefined
}

/** The oldest first: what waits longest. Throws `bad_cursor`. */
export const listLetters = async (
  sql: Sql,
  query: LetterQuery,
): Promise<{ readonly items: DeadLetter[]; readonly nextCursor: string | null }> => {
  const after = query.cursor ?? '0'
  if (!isId(after)) throw new EmbudoError('bad_cursor', 'cursor: expected the nextCursor of the page before')
  const { rows } = await sql.query<Stored>(
    `select ${columns} from embudo.dead_letters as letter
     where id > $1::bigint and state = any($2::text[])
       and ($3::text is null or reader = $3) and ($4::text is null or topic = $4)
       and ($5::text is null or subject = $5) and ($6::text is null or code = $6)
       and (not $7::boolean or cause = 'poison')
     order by id limit $8`,
    [
      ...[after, query.state === undefined ? unsettled : [query.state]],
      ...[query.projection, query.topic, query.subject, query.code].map(asStored),
      ...[query.poisonOnly ?? false, query.limit + 1],
    ],
  )
  const items = rows.slice(0, query.limit).map(shown)
  return { items, nextCursor: rows.length > query.limit ? (items.at(-1)?.id ?? null) : null }
}

/** Throws `not_found`. */
export const showLetter = async (sql: Sql, id: string): Promise<WholeLetter> => {
  const { rows } = isId(id)
    ? await sql.query<Stored & StoredRecordColumns>(
        `select ${columns}, key, value, headers, appended_at_ms from embudo.dead_letters as letter where id = $1`,
        [id],
      )
    : { rows: [] }
  const row = rows[0]
  if (row === undefined) throw new EmbudoError('not_found', `there is no dead letter ${id}`)
  const appendedAt = new Date(Number(row.appended_at_ms)).toISOString()
  return { ...shown(row), key: row.key, value: row.value, headers: row.headers, appendedAt }
}

/** The first of these records that the live generation of a projection has parked. */
export const findParked = async (
  sql: Sql,
  projection: string,
  places: readonly { readonly topic: string; readonly partition: number; readonly offset: number }[],
): Promise<{ topic: string; partition: number; offset: number } | undefined> => {
  const { rows } = await sql.query<{ topic: string; partition: number; offset: string }>(
    `select letter.topic, letter.partition, letter."offset" from embudo.dead_letters as letter
     join unnest($2::text[], $3::integer[], $4::bigint[]) as place (topic, partition, "offset")
       using (topic, partition, "offset")
     left join embudo.generations as g on g.projection = letter.reader and g.generation = letter.generation
     where letter.reader = $1 and letter.state in ('open', 'deciding', 'retrying') and coalesce(g.state, 'live') = 'live'
     limit 1`,
    [
      projection,
      places.map(({ topic }) => topic),
      places.map(({ partition }) => partition),
      places.map(({ offset }) => offset),
    ],
  )
  const row = rows[0]
  return row === undefined ? undefined : { ...row, offset: Number(row.offset) }
}

/** What letters cannot say, none is asked for by. */
const asStored = (text: string | undefined): string | null => (text === undefined ? null : storable(text))

const isId = (text: string): boolean => /^\d{1,18}$/.test(text)

/** What is not decided, or not done yet. */
const unsettled: readonly LetterState[] = ['open', 'deciding', 'retrying']

const columns = `id, reader, generation, topic, partition, "offset", subject, type, cause, code, error, state, attempts,
  parked_at, settled_at, case when cause = 'poison' and state <> 'applied' and state <> 'discarded' then
    (select count(*) from embudo.dead_letters as behind
     where behind.reader = letter.reader and behind.generation = letter.generation and behind.topic = letter.topic
       and behind.partition = letter.partition and behind.subject = letter.subject
       and behind."offset" > letter."offset" and behind.cause = 'behind' and behind.state in ('open', 'deciding'))
    else 0 end as waiting`

interface Stored {
  readonly id: string
  readonly reader: string
  readonly generation: number
  readonly topic: string
  readonly partition: number
  readonly offset: string
  readonly subject: string
  readonly type: string | null
  readonly cause: 'poison' | 'behind'
  readonly code: string | null
  readonly error: string | null
  readonly state: LetterState
  readonly attempts: number
  readonly waiting: string
  readonly parked_at: Date
  readonly settled_at: Date | null
}

interface StoredRecordColumns {
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: Record<string, string>
  readonly appended_at_ms: string
}

const shown = (row: Stored): DeadLetter => ({
  id: row.id,
  projection: row.reader,
  generation: row.generation,
  topic: row.topic,
  partition: row.partition,
  offset: Number(row.offset),
  subject: row.subject,
  type: row.type,
  cause: row.cause,
  code: row.code,
  error: row.error,
  state: row.state,
  attempts: row.attempts,
  waiting: Number(row.waiting),
  parkedAt: row.parked_at.toISOString(),
  settledAt: row.settled_at?.toISOString() ?? null,
})
