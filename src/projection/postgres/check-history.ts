import { crc32 } from 'node:zlib'
import type { PoolClient } from 'pg'
import { type Position, readPositions } from '../../consumer/positions.ts'
import type { Corrections } from '../../dead-letter/correction.ts'
import { isPersonal } from '../../define/columns.ts'
import { messageOf } from '../../define/error.ts'
import type { Row } from '../../define/read-model.ts'
import { duplicatesWithin } from '../../define/topic.ts'
import type { Codec } from '../../log/codec.ts'
import type { Log } from '../../log/port.ts'
import type { PostgresProjection } from '../definition.ts'
import { compareRows, type DifferingRow } from './differences.ts'
import { openLetters } from './open-letters.ts'
import { openHistory } from './partition-history.ts'
import { keyOf, type Refold, refold } from './refold.ts'
import { Slice } from './slice.ts'
import { type StoredTable, storedTable } from './stored-table.ts'

export interface CheckParts {
  /** In one read-only snapshot, which it stays in. */
  readonly client: PoolClient
  readonly log: Log
  readonly codec: Codec
  readonly corrections: Corrections | undefined
  readonly signal: AbortSignal
  /** Rows of one pass that are held in memory; a partition with more is read more often. */
  readonly maxRows: number
  /** Told in records of the log, of which there are `total`; a partition that is read again counts again. */
  readonly onProgress: (read: number, total: number) => void
}

/** What history, folded by the code at hand, differs in from the live rows. */
export interface HistoryCheck {
  readonly name: string
  readonly kind: PostgresProjection['kind']
  /** Of the code at hand. */
  readonly version: number
  /** Undefined where nothing is live yet. */
  readonly live: { readonly generation: number; readonly version: number } | undefined
  readonly rows: number
  readonly differing: number
  /** How many rows differ in each. */
  readonly columns: Readonly<Record<string, number>>
  readonly examples: readonly DifferenceExample[]
  readonly newColumns: readonly string[]
  readonly droppedColumns: readonly string[]
  /** Their types differ: they are not compared. */
  readonly retypedColumns: readonly string[]
  /** Subjects that wait behind a dead letter: compared up to there. */
  readonly parked: number
  /** Subjects or rows that the code at hand cannot fold, or Postgres not store. */
  readonly failed: number
  readonly failures: readonly { readonly key: string; readonly detail: string }[]
}

export interface DifferenceExample {
  readonly key: string
  readonly columns: readonly string[]
  /** Null where there is no such row. Personal text is left out. */
  readonly live: Readonly<Record<string, string | null>> | null
  readonly folded: Readonly<Record<string, string | null>> | null
}

/**
 * Folds a projection's history up to its live positions and compares the rows with the live table, of one snapshot;
 * writes nothing. Throws `log_beginning_lost`, `log_changed`, `not_comparable`.
 */
export const checkHistory = async (
  projection: PostgresProjection,
  topic: string,
  parts: CheckParts,
): Promise<HistoryCheck> => {
  const { client } = parts
  const report = new Report(projection)
  const live = await liveGeneration(client, projection.name)
  if (live === undefined) return report.end(undefined)
  const table = await storedTable(client, projection, live.generation)
  const positions = (await readPositions(client, projection.name, live.generation)).filter(
    (position) => position.topic === topic,
  )
  const found = new FoundRows()
  let read = 0
  const total = positions.reduce((sum, { nextOffset }) => sum + nextOffset, 0)
  for (const position of positions) {
    const rest = [new Slice()]
    for (let slice = rest.pop(); slice !== undefined; slice = rest.pop()) {
      const { fold, put } = await foldSlice(projection, position, slice, parts, (records) => {
        read += records
        parts.onProgress(read, total)
      })
      rest.push(...put)
      await compareFold(fold, table, report, found, client)
      // Each slice of a read model has subjects of its own; those of a tally's rows are the same in all of them.
      if (slice.isFirst || projection.kind === 'read model') report.note(fold)
    }
  }
  await tellUnexplained(table, report, found, client)
  return report.end(live, table)
}

const liveGeneration = async (
  client: PoolClient,
  name: string,
): Promise<{ readonly generation: number; readonly version: number } | undefined> => {
  const { rows: tables } = await client.query<{ is_there: boolean }>(
    `select to_regclass('embudo.generations') is not null as is_there`,
  )
  if (!tables[0]!.is_there) return undefined
  const { rows } = await client.query<{ generation: number; version: number }>(
    `select generation, version from embudo.generations where projection = $1 and state = 'live'`,
    [name],
  )
  return rows[0]
}

/** Folds what fits into memory; `put` is what has to be folded by itself. */
const foldSlice = async (
  projection: PostgresProjection,
  position: Position,
  given: Slice,
  parts: CheckParts,
  advance: (records: number) => void,
): Promise<{ readonly fold: Refold; readonly put: readonly Slice[] }> => {
  let slice = given
  const put: Slice[] = []
  const isWanted = slice.isWhole ? undefined : slice.has
  const fold = refold({ projection, ...parts, ...position, ...(isWanted && { isWanted }) })
  const letters = await openLetters(parts.client, projection, position)
  await using history = await openHistory(position, duplicatesWithin(projection.topic), parts)
  for await (const records of history.before(position.nextOffset)) {
    await fold.take(records, letters)
    while (fold.rows.size > parts.maxRows) {
      const [kept, other] = slice.halves()
      put.push(other)
      slice = kept
      fold.narrow(slice.has)
    }
    if (fold.unfoldable.size > parts.maxRows) throw [...fold.unfoldable.values()][0]
    advance(records.length)
  }
  return { fold, put }
}

const compareFold = async (
  { rows }: Refold,
  table: StoredTable,
  report: Report,
  found: FoundRows,
  client: PoolClient,
): Promise<void> => {
  const folded = [...rows.values()].filter((row) => row !== null)
  const { equal, differing, refused } = await compareRows(client, table, folded)
  report.rows += equal + differing.length
  for (const { row, error } of refused) report.fail(keyOf(table.keyColumns, row), error)
  const missing = new Set<Row>()
  for (const difference of differing) {
    if (difference.stored === null) missing.add(difference.row)
    report.differ(keyOf(table.keyColumns, difference.row), difference)
  }
  for (const row of folded) if (!missing.has(row)) found.add(placeOf(table, row))
}

/** Rows that are there and that no history explains: their number is exact, the examples are what is easily found. */
const tellUnexplained = async (
  table: StoredTable,
  report: Report,
  found: FoundRows,
  client: PoolClient,
): Promise<void> => {
  const { rows: counted } = await client.query<{ rows: string }>(`select count(*) as rows from ${table.name}`)
  const unexplained = Number(counted[0]!.rows) - found.size
  if (unexplained <= 0) return
  report.rows += unexplained
  report.differing += unexplained
  const columns = [...table.keys, ...table.others]
  const texts = columns.map(({ name, quoted }) => `${quoted}::text as "${name}"`).join(', ')
  await client.query(`declare stored no scroll cursor for select ${texts} from ${table.name}`)
  for (let left = unexplained; left > 0 && report.hasRoom; ) {
    const { rows } = await client.query<Record<string, string | null>>('fetch 5000 from stored')
    if (rows.length === 0) break
    for (const row of rows) {
      if (found.has(placeOf(table, row))) continue
      report.show(keyOf(table.keyColumns, row), row)
      left--
    }
  }
  await client.query('close stored')
}

/** A tally has a row for each key and partition. */
const placeOf = ({ keyColumns }: StoredTable, row: Row): string =>
  `${keyOf(keyColumns, row)} ${row._partition ?? ''}`

/** Which rows of the table were met: their exact number, and a bit for each in 8 MiB. */
class FoundRows {
  size = 0
  readonly #bits = new Uint8Array(2 ** 23)

  add(place: string): void {
    this.size++
    const bit = crc32(place) >>> 6
    this.#bits[bit >>> 3]! |= 1 << (bit & 7)
  }

  /** May be true of one that was not. */
  has(place: string): boolean {
    const bit = crc32(place) >>> 6
    return (this.#bits[bit >>> 3]! & (1 << (bit & 7))) !== 0
  }
}

const maxExamples = 20

class Report {
  rows = 0
  differing = 0
  #parked = 0
  #failed = 0
  readonly #projection: PostgresProjection
  readonly #columns: Record<string, number> = {}
  readonly #examples: DifferenceExample[] = []
  readonly #failures: { key: string; detail: string }[] = []

  constructor(projection: PostgresProjection) {
    this.#projection = projection
  }

  get hasRoom(): boolean {
    return this.#examples.length < maxExamples
  }

  note({ leftOut, unfoldable }: Refold): void {
    this.#parked += leftOut.size
    for (const [subject, error] of unfoldable) this.fail(subject, error)
  }

  fail(key: string, error: unknown): void {
    this.#failed++
    if (this.#failures.length < maxExamples) this.#failures.push({ key, detail: messageOf(error) })
  }

  differ(key: string, { columns, stored, folded }: DifferingRow): void {
    this.differing++
    for (const column of columns) this.#columns[column] = (this.#columns[column] ?? 0) + 1
    if (!this.hasRoom) return
    this.#examples.push({ key, columns, live: this.#shown(stored), folded: this.#shown(folded) })
  }

  /** A row that history does not have. */
  show(key: string, row: Readonly<Record<string, string | null>>): void {
    if (this.hasRoom) this.#examples.push({ key, columns: [], live: this.#shown(row), folded: null })
  }

  end(live: HistoryCheck['live'], table?: StoredTable): HistoryCheck {
    const { name, kind, version } = this.#projection
    return {
      ...{ name, kind, version, live },
      ...{ rows: this.rows, differing: this.differing, columns: this.#columns, examples: this.#examples },
      newColumns: table?.newColumns ?? [],
      droppedColumns: table?.droppedColumns ?? [],
      retypedColumns: table?.retypedColumns ?? [],
      ...{ parked: this.#parked, failed: this.#failed, failures: this.#failures },
    }
  }

  /** What is printed ends in somebody's log. */
  #shown<Shown extends Readonly<Record<string, string | null>> | null>(row: Shown): Shown {
    if (row === null) return row
    const entries = Object.entries(row).map(([name, text]) => {
      const column = this.#projection.columns[name]
      const isHidden = text !== null && column !== undefined && isPersonal(column)
      return [name, isHidden ? '(personal)' : text]
    })
    return Object.fromEntries(entries) as Shown
  }
}
