import type { Pool, PoolClient } from 'pg'
import {
  lockPosition,
  type PartitionOf,
  type Position,
  readPositions,
  seizePosition,
} from '../../consumer/positions.ts'
import type { Corrections } from '../../dead-letter/correction.ts'
import { subjectOf } from '../../dead-letter/letters.ts'
import { EmbudoError } from '../../define/error.ts'
import type { Row } from '../../define/read-model.ts'
import { duplicatesWithin } from '../../define/topic.ts'
import type { Codec } from '../../log/codec.ts'
import type { Log, LogRecord } from '../../log/port.ts'
import { transaction } from '../../postgres/transaction.ts'
import type { PostgresProjection } from '../definition.ts'
import { compareRows } from './differences.ts'
import { openLetters } from './open-letters.ts'
import { openHistory } from './partition-history.ts'
import { keyOf, type Refold, refold } from './refold.ts'
import { rowsSql } from './rows-sql.ts'
import { type Table, tableOf } from './table.ts'
import { takenInParts } from './taken-in-parts.ts'

export interface RepairRowsParts {
  readonly pool: Pool
  readonly log: Log
  readonly codec: Codec
  readonly corrections: Corrections | undefined
  readonly signal: AbortSignal
  readonly progress: ScanProgress
}

/** Told in records of the log. */
export interface ScanProgress {
  begin(records: number): void
  advance(records: number): void
}

export interface RepairedRows {
  /** Those of the subjects that have events in this partition. */
  readonly known: ReadonlySet<string>
  /** Rows that were written or deleted, because they were not what the log says. */
  readonly changed: number
  /** Subjects, or rows of a tally, that are left as they are since this code cannot fold or Postgres not hold them. */
  readonly failed: ReadonlyMap<string, unknown>
}

/**
 * Folds the rows of some subjects again from the log's start and replaces those that differ, while the projector
 * goes on: the log is read up to near the position without a lock; what is left of it is read, and the rows are
 * written, while the position stands still under one; the epoch that is raised with them makes the projector forget
 * what it remembers. A row that a tally's subjects touched is folded again whole, from everybody's events of the
 * partition. `deletesUnknown`: also the rows of subjects that have no events are deleted.
 */
export const repairRows = async (
  projection: PostgresProjection,
  of: PartitionOf,
  subjects: ReadonlySet<string>,
  deletesUnknown: boolean,
  parts: RepairRowsParts,
): Promise<RepairedRows> => {
  const known = new Set<string>()
  const failed = new Map<string, unknown>()
  let changed = 0
  const keys =
    projection.kind === 'tally' ? await touchedRows(projection, of, subjects, known, parts) : subjects
  for (const some of inParts(keys, rowsAtOnce)) {
    const repaired = await untilUndisturbed(() => repairSome(projection, of, some, deletesUnknown, parts))
    if (projection.kind === 'read model') for (const subject of repaired.known) known.add(subject)
    for (const [key, error] of repaired.failed) failed.set(key, error)
    changed += repaired.changed
  }
  return { known, changed, failed }
}

export const positionOf = async (pool: Pool, of: PartitionOf): Promise<Position | undefined> =>
  (await readPositions(pool, of.reader, of.generation)).find(
    ({ topic, partition }) => topic === of.topic && partition === of.partition,
  )

/** Held in memory, and written under one lock: about a second of standstill where all of them differ. */
const rowsAtOnce = 50_000

/** Which rows of a tally the subjects' events have touched up to now. */
const touchedRows = async (
  projection: PostgresProjection,
  of: PartitionOf,
  subjects: ReadonlySet<string>,
  known: Set<string>,
  parts: RepairRowsParts,
): Promise<ReadonlySet<string>> => {
  const position = await positionOf(parts.pool, of)
  if (position === undefined) return new Set()
  const keys = new Set<string>()
  // Also the rows that a record touched before it was decided otherwise about.
  const { corrections } = parts
  for (const decided of (corrections?.size ?? 0) > 0 ? [corrections, undefined] : [corrections]) {
    const fold = refold({ projection, ...parts, ...of, isOf: (subject) => subjects.has(subject) })
    const letters = await openLetters(parts.pool, projection, of)
    parts.progress.begin(position.nextOffset)
    await using history = await openHistory(position, duplicatesWithin(projection.topic), {
      ...parts,
      corrections: decided,
    })
    for await (const records of history.before(position.nextOffset)) {
      note(records, subjects, known)
      await fold.take(records, letters)
      parts.progress.advance(records.length)
    }
    for (const key of fold.rows.keys()) keys.add(key)
  }
  return keys
}

type Attempt = RepairedRows | 'disturbed'

const repairSome = async (
  projection: PostgresProjection,
  of: PartitionOf,
  keys: ReadonlySet<string>,
  deletesUnknown: boolean,
  parts: RepairRowsParts,
): Promise<Attempt> => {
  const position = await positionOf(parts.pool, of)
  if (position === undefined) return nothing
  const known = new Set<string>()
  const fold = refold({ projection, ...parts, ...of, isWanted: (key) => keys.has(key) })
  await using history = await openHistory(position, duplicatesWithin(projection.topic), parts)
  const take = async (to: number, letters: ReadonlyMap<string, number>): Promise<void> => {
    for await (const records of history.before(to)) {
      note(records, keys, known)
      await fold.take(records, letters)
      parts.progress.advance(records.length)
    }
  }
  parts.progress.begin(position.nextOffset)
  const reached = await scan(parts.pool, projection, position, take)
  return await transaction(parts.pool, async (client) => {
    const locked = await lockPosition(client, of)
    if (locked === undefined || !(await isFed(client, of))) return nothing
    const letters = await openLetters(client, projection, of)
    const wasDecided = [...fold.leftOut].some(([subject, offset]) => letters.get(subject) !== offset)
    // Postgres may have lost its tail, and a dead letter may have been settled, since they were looked at.
    if (locked.nextOffset < reached || wasDecided) return 'disturbed'
    await take(locked.nextOffset, letters)
    if (projection.kind === 'tally') {
      // Its rows belong to many, and what this one would have added is not known.
      for (const error of fold.unfoldable.values()) throw error
    }
    // Of a tally the keys come from its events: one without a row has lost them all to what was decided.
    const deleted = [...keys].filter(
      projection.kind === 'tally' ? (key) => !fold.rows.has(key) : hasNoRow(fold, known, deletesUnknown),
    )
    const failed = new Map(fold.unfoldable)
    const changed = await replaceRows(client, projection, tableOf(projection, of.generation), {
      rows: [...fold.rows].flatMap(([key, row]) => (row === null || failed.has(key) ? [] : [row])),
      deleted: deleted.map((key) => rowOfKey(tableOf(projection, of.generation), key, of.partition)),
      failed,
    })
    if (changed > 0) await seizePosition(client, of)
    return { known, changed, failed }
  })
}

/** Up to near the position, which moves meanwhile; answers how far that is. */
const scan = async (
  pool: Pool,
  projection: PostgresProjection,
  position: Position,
  take: (to: number, letters: ReadonlyMap<string, number>) => Promise<void>,
): Promise<number> => {
  let reached = position.nextOffset
  for (let round = 0; ; round++) {
    await take(reached, await openLetters(pool, projection, position))
    const { nextOffset = reached } = (await positionOf(pool, position)) ?? {}
    if (nextOffset - reached < nearRecords || round === scanRounds) return reached
    reached = nextOffset
  }
}

/** So many are read and folded within some milliseconds. */
const nearRecords = 2_000
const scanRounds = 8

const hasNoRow =
  ({ rows, unfoldable }: Refold, known: ReadonlySet<string>, deletesUnknown: boolean) =>
  (subject: string): boolean =>
    (rows.get(subject) ?? null) === null && !unfoldable.has(subject) && (deletesUnknown || known.has(subject))

const note = (records: readonly LogRecord[], subjects: ReadonlySet<string>, known: Set<string>): void => {
  for (const record of records) {
    const subject = subjectOf(record)
    if (subjects.has(subject)) known.add(subject)
  }
}

/** What Postgres cannot hold goes to `failed`; answers how many rows were written or deleted. */
const replaceRows = async (
  client: PoolClient,
  projection: PostgresProjection,
  table: Table,
  {
    rows,
    deleted,
    failed,
  }: {
    readonly rows: readonly Row[]
    /** Their keys. */
    readonly deleted: readonly Row[]
    readonly failed: Map<string, unknown>
  },
): Promise<number> => {
  const keyColumns = table.keys.map(({ name }) => name).filter((name) => name !== '_partition')
  const measures = projection.kind === 'tally' ? projection.measures : undefined
  const { differing, refused } = await compareRows(client, { ...table, measures }, rows)
  for (const { row, error } of refused) failed.set(keyOf(keyColumns, row), error)
  const columns = table.columns.map(({ quoted }) => quoted).join(', ')
  const keys = table.keys.map(({ quoted }) => quoted).join(', ')
  const set = table.others.map(({ quoted }) => `${quoted} = excluded.${quoted}`).join(', ')
  const violating = await takenInParts(client, differing, rowsPerStatement, async (some) => {
    const { source, values } = rowsSql(
      table.columns,
      some.map(({ row }) => row),
    )
    await client.query(
      `insert into ${table.name} (${columns}) select ${columns} from ${source}
       on conflict (${keys}) do ${set === '' ? 'nothing' : `update set ${set}`}`,
      values,
    )
  })
  for (const { item, error } of violating) failed.set(keyOf(keyColumns, item.row), error)
  let changed = differing.length - violating.length
  if (deleted.length > 0) {
    const { source, values } = rowsSql(table.keys, deleted)
    const isSame = table.keys.map(({ quoted }) => `t.${quoted} = r.${quoted}`).join(' and ')
    const { rowCount } = await client.query(
      `delete from ${table.name} as t using ${source} where ${isSame}`,
      values,
    )
    changed += rowCount ?? 0
  }
  return changed
}

const rowsPerStatement = 5_000

const rowOfKey = ({ keys }: Table, key: string, partition: number): Row => {
  const names = keys.map(({ name }) => name).filter((name) => name !== '_partition')
  const values: unknown[] = names.length === 1 ? [key] : JSON.parse(key)
  return Object.fromEntries([...names.map((name, index) => [name, values[index]]), ['_partition', partition]])
}

/** A retired generation's table goes away under whoever writes it. */
const isFed = async (client: PoolClient, { reader, generation }: PartitionOf): Promise<boolean> => {
  const { rowCount } = await client.query(
    `select from embudo.generations where projection = $1 and generation = $2 and state <> 'retired'`,
    [reader, generation],
  )
  return rowCount === 1
}

const nothing: RepairedRows = { known: new Set(), changed: 0, failed: new Map() }

const attempts = 5

const untilUndisturbed = async (attempt: () => Promise<Attempt>): Promise<RepairedRows> => {
  for (let left = attempts; left > 0; left--) {
    const outcome = await attempt()
    if (outcome !== 'disturbed') return outcome
  }
  throw new EmbudoError(
    'repair_disturbed',
    'dead letters of these subjects are being settled at the same time: try again',
    { retriable: true },
  )
}

function* inParts<T>(all: Iterable<T>, size: number): Generator<Set<T>> {
  let some = new Set<T>()
  for (const each of all) {
    some.add(each)
    if (some.size < size) continue
    yield some
    some = new Set()
  }
  if (some.size > 0) yield some
}
