import type { Pool } from 'pg'
import { EmbudoError } from '../define/error.ts'
import { type SagaState, sagaStates } from './saga.ts'

export interface SagaItem {
  readonly id: string
  readonly type: string
  readonly version: number
  readonly subject: string
  readonly state: SagaState
  readonly step: string
  readonly startedAt: string
  readonly endedAt: string | null
  readonly timeline: readonly TimelineEntry[]
}

/** Times are ISO 8601 in UTC. */
export interface TimelineEntry {
  readonly at: string
  readonly step: string | null
  readonly what: string
  readonly attempt: number | null
  readonly error: string | null
}

export interface SagaFilter {
  readonly state?: string | undefined
  readonly type?: string | undefined
  readonly subject?: string | undefined
  /** 1 to 500, default 50. */
  readonly limit?: number | undefined
  readonly cursor?: string | undefined
}

/** The latest first. Throws `bad_parameter` and `bad_cursor`. */
export const listSagas = async (
  pool: Pool,
  { state, type, subject, limit = 50, cursor }: SagaFilter,
): Promise<{ items: SagaItem[]; nextCursor: string | null }> => {
  if (state !== undefined && !sagaStates.some((known) => known === state)) {
    throw new EmbudoError(
      'bad_parameter',
      `there is no state ${state}; it is one of ${sagaStates.join(', ')}`,
    )
  }
  const rows = Math.min(500, Math.max(1, Math.trunc(limit)))
  const after = cursor === undefined ? undefined : placeOf(cursor)
  const values: unknown[] = []
  const parameter = (value: unknown): string => `$${values.push(value)}`
  const conditions = [
    ...(state === undefined ? [] : [`state = ${parameter(state)}`]),
    ...(type === undefined ? [] : [`type = ${parameter(type)}`]),
    ...(subject === undefined ? [] : [`subject = ${parameter(subject)}`]),
    ...(after === undefined
      ? []
      : [`(started_at, id) < (${parameter(after.startedAt)}::timestamptz, ${parameter(after.id)}::uuid)`]),
  ]
  const { rows: found } = await pool.query<SagaItem & { place: string }>(
    `select ${item}, started_at::text as place
     from embudo.sagas ${conditions.length === 0 ? '' : `where ${conditions.join(' and ')}`}
     order by started_at desc, id desc limit ${rows + 1}`,
    values,
  )
  const page = found.slice(0, rows)
  const last = page.at(-1)
  return {
    items: page.map(({ place: _, ...item }) => item),
    nextCursor: found.length > rows && last !== undefined ? cursorOf(last.place, last.id) : null,
  }
}

export const showSaga = async (pool: Pool, id: string): Promise<SagaItem | undefined> => {
  if (!uuid.test(id)) return undefined
  const { rows } = await pool.query<SagaItem>(`select ${item} from embudo.sagas where id = $1`, [id])
  return rows[0]
}

/** How many sagas of each type are under way, or parked; those that ended well are not counted. */
export const countOpenSagas = async (
  pool: Pool,
): Promise<{ readonly saga: string; readonly state: SagaState; readonly count: number }[]> => {
  const { rows } = await pool.query<{ saga: string; state: SagaState; count: number }>(
    `select type as saga, state, count(*)::integer as count from embudo.sagas
     where state not in ('COMPLETED', 'COMPENSATED') group by 1, 2`,
  )
  return rows
}

/** The place carries Postgres's microseconds, which a JavaScript date would cut off. */
const cursorOf = (startedAt: string, id: string): string =>
  Buffer.from(`${startedAt} ${id}`).toString('base64url')

const placeOf = (cursor: string): { startedAt: string; id: string } => {
  const match = /^(\d{4,}-\d\d-\d\d \d\d:\d\d:\d\d\S*) (\S+)$/.exec(
    Buffer.from(cursor, 'base64url').toString('utf8'),
  )
  if (match === null || !uuid.test(match[2]!)) {
    throw new EmbudoError('bad_cursor', 'the cursor is none that a page of sagas gave')
  }
  return { startedAt: match[1]!, id: match[2]! }
}

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

const isoOf = (time: string): string => `to_char(${time} at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`

const item = `id, type, version, subject, state, step,
  ${isoOf('started_at')} as "startedAt", ${isoOf('ended_at')} as "endedAt",
  coalesce((
    select json_agg(json_build_object('at', ${isoOf('at')}, 'step', step, 'what', what, 'attempt', attempt, 'error', error) order by seq)
    from embudo.saga_journal where saga_id = id), '[]') as timeline`
