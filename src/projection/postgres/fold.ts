import { type Column, sqlOf } from '../../define/columns.ts'
import { EmbudoError, messageOf } from '../../define/error.ts'
import type { DomainEvent } from '../../define/event.ts'
import { addMoney, compareMoney } from '../../define/money.ts'
import type { ReadModelDefinition, Row } from '../../define/read-model.ts'
import type { Measure, TallyDefinition } from '../../define/tally.ts'
import { type RowCheck, rowCheck } from './row-check.ts'

/** A row as it is known: whether the table has it, and what it holds; `row` is null where it does not. */
export interface KnownRow {
  readonly stored: boolean
  readonly row: Row | null
}

/** What the row is after one more event of its subject. Throws `fold_failed`: the same event always would. */
export const evolveRow = (
  model: ReadModelDefinition,
  known: KnownRow | undefined,
  event: DomainEvent<Record<string, unknown>>,
): KnownRow => {
  const evolve = model.evolve[event.type]
  if (evolve === undefined) return known ?? absent
  const before = known?.row ?? firstRow(model, event.subject)
  try {
    const row = evolve(before, event as DomainEvent<never>)
    if (row !== null) checkOf(model)(row, known?.row ?? undefined)
    return { stored: known?.stored ?? false, row }
  } catch (cause) {
    throw foldFailed(model, event, cause)
  }
}

/** Adds what an event counts to the partial rows of its partition, by key. */
export const countEvent = (
  tally: TallyDefinition,
  keyColumns: readonly string[],
  rows: Map<string, Row>,
  event: DomainEvent<Record<string, unknown>>,
): void => {
  const count = tally.count[event.type]
  if (count === undefined) return
  let counted: Readonly<Record<string, unknown>> | null
  try {
    counted = count(event as DomainEvent<never>)
    if (counted !== null) checkOf(tally)({ ...zeroes(tally), ...counted })
  } catch (cause) {
    throw foldFailed(tally, event, cause)
  }
  if (counted === null) return
  const key =
    keyColumns.length === 1
      ? String(counted[keyColumns[0]!])
      : JSON.stringify(keyColumns.map((name) => counted[name]))
  const row = rows.get(key)
  if (row === undefined) rows.set(key, { ...zeroes(tally), ...counted, _partition: event.partition })
  else
    for (const [name, measure] of Object.entries(tally.measures))
      row[name] = combined(measure, tally.columns[name]!, row[name], counted[name])
}

const checks = new WeakMap<object, RowCheck>()

const checkOf = (projection: ReadModelDefinition | TallyDefinition): RowCheck => {
  const made = checks.get(projection) ?? rowCheck(projection.columns)
  checks.set(projection, made)
  return made
}

const absent: KnownRow = { stored: false, row: null }

const firstRow = (model: ReadModelDefinition, subject: string): Row => {
  const row: Row = {}
  for (const name of Object.keys(model.columns)) row[name] = null
  return Object.assign(row, model.initial(subject))
}

/** A sum of nothing is 0 where its column may not be null. */
const zeroes = (tally: TallyDefinition): Row => {
  const row: Row = {}
  for (const name of Object.keys(tally.measures)) {
    const column = tally.columns[name]
    row[name] = typeof column === 'string' && /\bnot null\b/.test(column) ? 0 : null
  }
  return row
}

const combined = (measure: Measure, column: Column, left: unknown, right: unknown): unknown => {
  if (left === null || left === undefined) return right ?? null
  if (right === null || right === undefined) return left
  if (measure === 'sum') {
    return typeof left === 'number' && typeof right === 'number'
      ? left + right
      : addMoney(String(left), String(right))
  }
  const isRightLess = compare(column, right, left) < 0
  return (measure === 'min') === isRightLess ? right : left
}

/** As Postgres compares them, since batches meet there: decimals by value, text by its bytes. */
const compare = (column: Column, left: unknown, right: unknown): number => {
  const sql = sqlOf(column)
  if (sql.startsWith('numeric')) return compareMoney(String(left), String(right))
  if (sql.startsWith('text')) return Buffer.compare(Buffer.from(String(left)), Buffer.from(String(right)))
  return (left as number) < (right as number) ? -1 : 1
}

const foldFailed = (projection: { readonly name: string }, event: DomainEvent, cause: unknown): EmbudoError =>
  new EmbudoError(
    'fold_failed',
    `${projection.name} cannot apply ${event.type} at ${event.topic}:${event.partition}:${event.offset}: ${messageOf(cause)}`,
    {
      facts: {
        projection: projection.name,
        topic: event.topic,
        partition: event.partition,
        offset: event.offset,
      },
      cause,
    },
  )
