import { createHash } from 'node:crypto'
import { EmbudoError } from '../define/error.ts'
import { identifier, type ListedField, type Listing } from './listing.ts'
import { filterValue } from './value.ts'

export interface PageQuery {
  readonly limit: number
  readonly cursor: string | undefined
  /** A field's name, with `-` in front for descending; the key by default. */
  readonly sort: string | undefined
  readonly filters: Readonly<Record<string, string>>
}

export interface PageStatement {
  readonly text: string
  readonly values: readonly string[]
  /** The cursor that leads on from a row of the answer. */
  readonly cursorAfter: (row: Readonly<Record<string, unknown>>) => string
}

/** Asked for beside the fields: the value that the page is sorted by, and the keys, as exact text. */
const sortColumn = '_sort'
const keyColumn = (index: number): string => `_key${index}`

/**
 * One page, by keyset: it begins behind a row, not at a number, so that rows which come and go meanwhile neither
 * repeat nor hide others. Nulls stand last in both directions. Asks for one row more than the page holds.
 */
export const pageStatement = (listing: Listing, query: PageQuery): PageStatement => {
  const sort = sortOf(listing, query.sort)
  const values: string[] = []
  const parameter = (value: string, field: ListedField): string => `$${values.push(value)}::${field.type}`

  const conditions = Object.entries(query.filters).map(([name, text]) => {
    const field = readableField(listing, name)
    return `${field.expression} = ${parameter(filterValue(name, text, field.type), field)}`
  })
  const fingerprint = fingerprintOf(listing, query)
  if (query.cursor !== undefined) {
    const after = openCursor(query.cursor, fingerprint, listing)
    conditions.push(conditionAfter(listing, sort, after, parameter))
  }
  const keys = listing.keys.map(({ expression }) => expression)
  const order = sort.isKey
    ? [`${keys[0]} ${sort.direction}`, ...keys.slice(1)]
    : [`${sort.field.expression} ${sort.direction} nulls last`, ...keys]
  const selected = [
    ...listing.fields.map(({ expression, name }) => `${expression} as ${identifier(name)}`),
    `(${sort.field.expression})::text as ${identifier(sortColumn)}`,
    ...keys.map((key, index) => `${key}::text as ${identifier(keyColumn(index))}`),
  ]
  const where = conditions.length === 0 ? '' : ` where ${conditions.join(' and ')}`
  return {
    text: `select ${selected.join(', ')} from ${listing.from}${where} order by ${order.join(', ')} limit ${query.limit + 1}`,
    values,
    cursorAfter: (row) =>
      Buffer.from(
        JSON.stringify([
          fingerprint,
          row[sortColumn] ?? null,
          ...keys.map((_, index) => row[keyColumn(index)]),
        ]),
      ).toString('base64url'),
  }
}

/** The one row of a key. */
export const rowStatement = (
  listing: Listing,
  key: readonly string[],
): { text: string; values: string[] } => ({
  text:
    `select ${listing.fields.map(({ expression, name }) => `${expression} as ${identifier(name)}`).join(', ')} from ${listing.from} ` +
    `where ${listing.keys.map(({ expression, type }, index) => `${expression} = $${index + 1}::${type}`).join(' and ')}`,
  values: listing.keys.map(({ name, type }, index) => filterValue(name, key[index] ?? '', type)),
})

interface Sort {
  readonly field: ListedField
  readonly direction: 'asc' | 'desc'
  readonly isKey: boolean
}

interface After {
  readonly sort: string | null
  readonly keys: readonly string[]
}

const sortOf = (listing: Listing, sort: string | undefined): Sort => {
  const first = listing.keys[0]!
  if (sort === undefined) return { field: first, direction: 'asc', isKey: true }
  const direction = sort.startsWith('-') ? 'desc' : 'asc'
  const field = readableField(listing, sort.replace(/^[-+]/, ''), 'sort')
  return { field, direction, isKey: field === first }
}

const readableField = (listing: Listing, name: string, parameter = name): ListedField => {
  const readable = listing.fields.filter((field) => !field.isPersonal)
  const field = readable.find((candidate) => candidate.name === name)
  if (field !== undefined) return field
  const isPersonal = listing.fields.some((candidate) => candidate.name === name)
  throw new EmbudoError(
    'unknown_column',
    `${isPersonal ? `${name} is personal and cannot be filtered or sorted by` : `${listing.name} has no column ${name.slice(0, 64)}`}; ` +
      `there are ${readable.map((candidate) => candidate.name).join(', ')}`,
    { facts: { field: parameter.slice(0, 64).toWellFormed() } },
  )
}

const conditionAfter = (
  { keys }: Listing,
  { field, direction, isKey }: Sort,
  after: After,
  parameter: (value: string, field: ListedField) => string,
): string => {
  const beyond = direction === 'asc' ? '>' : '<'
  const [first, ...others] = keys.map((key, index) => ({ key, value: parameter(after.keys[index]!, key) }))
  const row = (columns: readonly { key: ListedField; value: string }[]) =>
    `(${columns.map(({ key }) => key.expression).join(', ')}) > (${columns.map(({ value }) => value).join(', ')})`
  if (isKey) {
    const further = `${first!.key.expression} ${beyond} ${first!.value}`
    return others.length === 0
      ? further
      : `(${further} or (${first!.key.expression} = ${first!.value} and ${row(others)}))`
  }
  const behindKey = row([first!, ...others])
  if (after.sort === null) return `(${field.expression} is null and ${behindKey})`
  const value = parameter(after.sort, field)
  return `(${field.expression} ${beyond} ${value} or (${field.expression} = ${value} and ${behindKey}) or ${field.expression} is null)`
}

/** A cursor belongs to one list, filter and order: with another it would lead anywhere. */
const fingerprintOf = (listing: Listing, { sort, filters }: PageQuery): string =>
  createHash('sha256')
    .update(JSON.stringify([listing.name, sort ?? '', Object.entries(filters).sort()]))
    .digest('base64url')
    .slice(0, 12)

const openCursor = (cursor: string, fingerprint: string, { keys }: Listing): After => {
  const parts = parsed(cursor)
  const [of, sort, ...rest] = parts
  const areTexts =
    rest.length === keys.length &&
    rest.every((key) => isPlainText(key)) &&
    (sort === null || isPlainText(sort))
  if (of !== fingerprint || !areTexts) {
    throw new EmbudoError(
      'bad_cursor',
      'cursor: expected the nextCursor of a page of the same list, filters and sort',
      {
        facts: { field: 'cursor' },
      },
    )
  }
  return { sort: sort as string | null, keys: rest as string[] }
}

const isPlainText = (value: unknown): boolean =>
  typeof value === 'string' && value.isWellFormed() && !value.includes('\0')

const parsed = (cursor: string): unknown[] => {
  try {
    const value: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'))
    return Array.isArray(value) ? value : []
  } catch {
    return []
  }
}
