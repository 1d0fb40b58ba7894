import { type Column, type Columns, isKey, sqlOf } from '../../define/columns.ts'
import { EmbudoError } from '../../define/error.ts'
import type { Row } from '../../define/read-model.ts'
import { isDecimal, isInstant, isWhole } from './stored-texts.ts'

/** Throws `row_invalid` where a column's new value is none that it can hold; `before` is what was checked already. */
export type RowCheck = (row: Readonly<Row>, before?: Readonly<Row>) => void

/**
 * What Postgres would refuse is refused here, event by event: a batch that is folded in memory ends with one row, and
 * whether a row in between was possible must not depend on where batches end, or a rebuild would differ from live.
 * What only Postgres can know (constraints of its own, sizes, json) is left to it.
 */
export const rowCheck = (columns: Columns): RowCheck => {
  const checks = Object.entries(columns).map(([name, column]) => ({
    name,
    type: sqlOf(column),
    isRequired: isKey(column) || /\bnot null\b/i.test(sqlOf(column)),
    accepts: acceptsOf(column),
  }))
  return (row, before) => {
    for (const { name, type, isRequired, accepts } of checks) {
      const value = row[name]
      if (before !== undefined && value === before[name]) continue
      const isAbsent = value === null || value === undefined
      if (isAbsent ? !isRequired : accepts(value)) continue
      throw new EmbudoError('row_invalid', `the column ${name} (${type}) cannot hold ${kindOf(value)}`)
    }
  }
}

const acceptsOf = (column: Column): ((value: unknown) => boolean) => {
  const [type = ''] = /^(double precision|\w+)/i.exec(sqlOf(column)) ?? []
  return accepted[type.toLowerCase()] ?? (() => true)
}

const accepted: Readonly<Record<string, (value: unknown) => boolean>> = {
  integer: (value) =>
    Number.isInteger(value) && (value as number) >= -(2 ** 31) && (value as number) < 2 ** 31,
  bigint: isWhole,
  'double precision': (value) => typeof value === 'number',
  boolean: (value) => typeof value === 'boolean',
  numeric: isDecimal,
  timestamptz: isInstant,
  text: (value) => typeof value === 'string' && !value.includes('\0'),
}

/** Never the text itself: it could be somebody's. */
const kindOf = (value: unknown): string =>
  value === null || value === undefined
    ? 'nothing'
    : typeof value === 'number'
      ? String(value)
      : typeof value === 'string' && value.includes('\0')
        ? 'text with a NUL'
        : `a ${typeof value}`
