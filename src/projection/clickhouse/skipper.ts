import { EmbudoError } from '../../define/error.ts'
import type { AvroRecord } from '../../define/field.ts'

/** Where the value that begins at `at` ends; -1 where there is none. */
export type Skip = (bytes: Buffer, at: number) => number

/**
 * Walks over a record's encoding without decoding it. A payload is proven to be of its schema's shape when the
 * walk ends exactly at its last byte; a foreign or a truncated one would shift every row behind it. Reading
 * past the end yields undefined, which ends a number and leaves the walk past the last byte: no check on the way.
 */
export const skipperOf = (record: AvroRecord): Skip => {
  const steps = record.fields.map((field) => skipOf(field.type))
  return (bytes, at) => {
    let next = at
    for (let index = 0; index < steps.length; index++) {
      next = steps[index]!(bytes, next)
      if (next < 0) return -1
    }
    return next
  }
}

const skipOf = (type: unknown): Skip => {
  if (Array.isArray(type)) return union(type.map(skipOf))
  if (typeof type === 'object' && type !== null) {
    const { type: inner, items, values, precision } = type as Record<string, unknown>
    if (inner === 'array') return blocks(skipOf(items))
    if (inner === 'map') {
      const value = skipOf(values)
      return blocks((bytes, at) => {
        const next = text(bytes, at)
        return next < 0 ? -1 : value(bytes, next)
      })
    }
    return inner === 'bytes' && precision !== undefined ? decimal(Number(precision)) : skipOf(inner)
  }
  switch (type) {
    case 'null':
      return (_, at) => at
    case 'boolean':
      return (bytes, at) => (bytes[at]! > 1 ? -1 : at + 1)
    case 'int':
      return int
    case 'long':
      return number
    case 'float':
      return (_, at) => at + 4
    case 'double':
      return (_, at) => at + 8
    case 'string':
    case 'bytes':
      return text
    default:
      throw new EmbudoError('schema_unsupported', `cannot skip the Avro type ${JSON.stringify(type)}`)
  }
}

const number: Skip = (bytes, at) => {
  let next = at
  while (bytes[next]! >= 0x80) next++
  return next - at >= 10 ? -1 : next + 1
}

/** ClickHouse refuses a whole container over one `int` of more than 32 bits. */
const int: Skip = (bytes, at) => {
  let next = at
  while (bytes[next]! >= 0x80) next++
  return next - at < 4 || (next - at === 4 && bytes[next]! < 0x10) ? next + 1 : -1
}

const text: Skip = (bytes, at) => {
  const first = bytes[at]!
  if (first < 0x80) return (first & 1) === 1 ? -1 : at + 1 + (first >>> 1)
  const next = number(bytes, at)
  if (next < 0) return -1
  const length = longAt(bytes, at, next)
  return length < 0 || length > bytes.length ? -1 : next + length
}

/** Or over one decimal that has more bytes than its column, or none. */
const decimal = (precision: number): Skip => {
  const most = precision <= 9 ? 4 : precision <= 18 ? 8 : precision <= 38 ? 16 : 32
  return (bytes, at) => (bytes[at]! > most * 2 || bytes[at] === 0 ? -1 : text(bytes, at))
}

const union =
  (branches: readonly Skip[]): Skip =>
  (bytes, at) => {
    const index = bytes[at]! >>> 1
    const branch = (bytes[at]! & 1) === 0 ? branches[index] : undefined
    return branch === undefined ? -1 : branch(bytes, at + 1)
  }

/** Arrays and maps: blocks of a count and that many items, closed by a count of 0; negative: a size follows. */
const blocks =
  (item: Skip): Skip =>
  (bytes, at) => {
    let next = at
    for (;;) {
      const countEnd = number(bytes, next)
      if (countEnd < 0 || countEnd > bytes.length) return -1
      const count = longAt(bytes, next, countEnd)
      next = countEnd
      if (count === 0) return next
      if (count < 0) {
        next = number(bytes, next)
        if (next < 0) return -1
      }
      for (let left = Math.abs(count); left > 0; left--) {
        next = item(bytes, next)
        if (next < 0 || next > bytes.length) return -1
      }
    }
  }

/** The number whose encoding begins at `start` and ends before `end`. */
export const longAt = (bytes: Buffer, start: number, end: number): number => {
  let value = 0
  for (let at = end - 1; at >= start; at--) value = value * 0x80 + (bytes[at]! & 0x7f)
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2
}
