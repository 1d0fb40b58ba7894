import { EmbudoError } from '../define/error.ts'
import type { ListedType } from './listing.ts'

/** What Postgres answers, as JSON has it: counts as numbers, instants as ISO 8601 in UTC, amounts as text. */
export const shown = (value: unknown, type: ListedType): unknown => {
  if (value === null || value === undefined) return null
  if (type === 'bigint') return Number(value)
  if (type === 'timestamptz') return value instanceof Date ? value.toISOString() : value
  return value
}

/** A value of a request, as a parameter of SQL; throws `bad_parameter` where the column has no such value. */
export const filterValue = (name: string, text: string, type: ListedType): string => {
  if (!checks[type](text)) {
    throw new EmbudoError('bad_parameter', `${name}: expected ${wanted[type]}`, { facts: { field: name } })
  }
  return text
}

const isIntegerWithin = (text: string, limit: bigint): boolean => {
  if (!/^-?\d{1,19}$/.test(text)) return false
  const value = BigInt(text)
  return value < limit && value >= -limit
}

const checks: Readonly<Record<ListedType, (text: string) => boolean>> = {
  text: (text) => text.isWellFormed() && !text.includes('\0'),
  integer: (text) => isIntegerWithin(text, 2n ** 31n),
  bigint: (text) => isIntegerWithin(text, 2n ** 63n),
  'double precision': (text) => /^-?\d{1,64}(\.\d{1,64})?(e[+-]?\d{1,2})?$/i.test(text),
  numeric: (text) => /^-?\d{1,64}(\.\d{1,64})?$/.test(text),
  boolean: (text) => text === 'true' || text === 'false',
  timestamptz: (text) => instant.test(text) && !Number.isNaN(Date.parse(text)),
  jsonb: (text) => {
    if (!text.isWellFormed() || text.includes('\\u0000') || text.includes('\0')) return false
    try {
      return shallow(JSON.parse(text), 64)
    } catch {
      return false
    }
  },
}

const instant =
  /^(?!0000)\d{4}-\d\d-\d\dT([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?(Z|[+-](0\d|1[0-4]):[0-5]\d)$/

/** Postgres gives up on JSON that is nested too deeply, with an error that is not the caller's to read. */
const shallow = (value: unknown, depth: number): boolean => {
  if (typeof value === 'string') return value.isWellFormed()
  if (typeof value !== 'object' || value === null) return true
  return depth > 0 && Object.values(value).every((inner) => shallow(inner, depth - 1))
}

const wanted: Readonly<Record<ListedType, string>> = {
  text: 'text without NUL',
  integer: 'an integer',
  bigint: 'an integer',
  'double precision': 'a number',
  numeric: 'a decimal, for example 49.00',
  boolean: 'true or false',
  timestamptz: 'an instant, for example 2026-11-20T10:00:00Z',
  jsonb: 'JSON',
}
