import type { Pool } from 'pg'
import { EmbudoError } from '../define/error.ts'
import type { PersonalData } from '../privacy/personal.ts'
import type { Listing } from './listing.ts'
import { type PageQuery, pageStatement, rowStatement } from './page.ts'
import { shown } from './value.ts'

export interface ReadParts {
  readonly pool: Pick<Pool, 'query'>
  readonly personal: PersonalData
}

export type ShownRow = Record<string, unknown>

export const readPage = async (
  { pool, personal }: ReadParts,
  listing: Listing,
  query: PageQuery,
): Promise<{ items: ShownRow[]; nextCursor: string | null }> => {
  const { text, values, cursorAfter } = pageStatement(listing, query)
  const { rows } = await asked(pool, text, values, query.cursor !== undefined)
  const page = rows.slice(0, query.limit)
  const last = rows.length > query.limit ? page.at(-1) : undefined
  return {
    items: await shownRows(listing, page, personal),
    nextCursor: last === undefined ? null : cursorAfter(last),
  }
}

export const readRow = async (
  { pool, personal }: ReadParts,
  listing: Listing,
  key: readonly string[],
): Promise<ShownRow | undefined> => {
  const { text, values } = rowStatement(listing, key)
  const { rows } = await asked(pool, text, values, false)
  return (await shownRows(listing, rows, personal))[0]
}

/** Personal texts are opened a page at a time: with keys, one by one would be a question each. */
const shownRows = async (
  listing: Listing,
  rows: readonly ShownRow[],
  personal: PersonalData,
): Promise<ShownRow[]> => {
  const sealed = listing.fields.filter((field) => field.isPersonal)
  const opened = await personal.open(
    rows.flatMap((row) => sealed.map(({ name }) => row[name] as string | null)),
  )
  return rows.map((row, at) =>
    Object.fromEntries(
      listing.fields.map(({ name, type, isPersonal }) => [
        name,
        isPersonal
          ? opened[at * sealed.length + sealed.findIndex((field) => field.name === name)]
          : shown(row[name], type),
      ]),
    ),
  )
}

const asked = async (
  pool: ReadParts['pool'],
  text: string,
  values: readonly string[],
  hasCursor: boolean,
): Promise<{ rows: ShownRow[] }> => {
  try {
    return await pool.query<ShownRow>(text, [...values])
  } catch (cause) {
    const state = (cause as { code?: unknown }).code
    // Class 22: a value that is none of its column's type. Filters are checked before; a cursor may be forged.
    if (typeof state === 'string' && state.startsWith('22')) {
      throw hasCursor
        ? new EmbudoError('bad_cursor', 'cursor: expected the nextCursor of the page before', {
            cause,
            facts: { field: 'cursor' },
          })
        : new EmbudoError('bad_parameter', 'a value is out of the range of its column', { cause })
    }
    if (state === '42P01') {
      throw new EmbudoError(
        'read_model_not_ready',
        'the read model is not built yet; its projection makes it',
        { cause, retriable: true },
      )
    }
    throw cause
  }
}
