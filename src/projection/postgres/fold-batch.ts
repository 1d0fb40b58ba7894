import { setImmediate as others } from 'node:timers/promises'
import type { Sql } from '../../consumer/positions.ts'
import { discardedLetter, letterOf, type NewLetter, subjectOf } from '../../dead-letter/letters.ts'
import type { ReadModelDefinition, Row } from '../../define/read-model.ts'
import type { TallyDefinition } from '../../define/tally.ts'
import { countEvent, evolveRow, type KnownRow } from './fold.ts'
import { loadRows } from './load.ts'
import type { Read } from './read-events.ts'
import type { RowCache } from './row-cache.ts'
import type { Table } from './table.ts'
import type { Changes, RowChanges } from './write.ts'

/** What a projector knows of its partition's rows; valid for as long as it holds the epoch. */
export interface Knowledge {
  readonly cache: RowCache
  /** Subjects that have records in the dead letters: what comes of them now waits behind. */
  readonly parked: Set<string>
  /** How many rows of the cache are on their way into the table, and nowhere else. */
  beingWritten: number
}

/** What a batch comes to. */
export interface Folded {
  readonly applied: number
  readonly letters: readonly NewLetter[]
  readonly poisoned: number
  readonly changes: Changes
}

/** `refused`: events that Postgres takes no row of, by offset, and why. */
export type Fold = (
  reads: readonly Read[],
  known: Knowledge,
  refused: ReadonlyMap<number, unknown>,
) => Promise<Folded>

interface FoldParts {
  /** Where rows are loaded: the transaction's own connection for whoever is in one. */
  readonly sql: Sql
  readonly table: Table
}

/** A batch may be large: other partitions, timers and answers come in between. */
const eventsAtOnce = 5_000

/**
 * Events folded in order, subject by subject. One that cannot be applied is parked, and so is every later one of its
 * subject; all other subjects go on.
 */
export const foldModel =
  (model: ReadModelDefinition, { sql, table }: FoldParts): Fold =>
  async (reads, known, refused) => {
    const { cache, parked } = known
    cache.trim(known.beingWritten)
    await loadMissing(reads, known, sql, table)
    const before = new Map<string, KnownRow>()
    const after = new Map<string, KnownRow>()
    const letters: NewLetter[] = []
    let applied = 0
    let poisoned = 0
    for (const [index, read] of reads.entries()) {
      if (index % eventsAtOnce === eventsAtOnce - 1) await others()
      const { record, event } = read
      if (event === undefined && read.error === undefined) {
        letters.push(discardedLetter(record))
        continue
      }
      if (parked.size > 0 && parked.has(subjectOf(record))) {
        letters.push(letterOf(record, event?.type))
        continue
      }
      try {
        if (event === undefined) throw read.error
        if (refused.has(record.offset)) throw refused.get(record.offset)
        const key = event.subject
        const row = after.get(key) ?? cache.get(key)!
        const evolved = evolveRow(model, row, event)
        if (!before.has(key)) before.set(key, row)
        after.set(key, evolved)
        applied++
      } catch (error) {
        poisoned++
        parked.add(subjectOf(record))
        letters.push(letterOf(record, event?.type, error))
      }
    }
    for (const [key, { row }] of after) cache.put(key, { stored: row !== null, row })
    known.beingWritten = after.size
    return { applied, poisoned, letters, changes: changesOf(before, after) }
  }

/** Events counted in any order: one that cannot be is parked alone. */
export const foldTally =
  (tally: TallyDefinition, { table }: FoldParts): Fold =>
  async (reads, _known, refused) => {
    const keyColumns = table.keys.map((key) => key.name).filter((name) => name !== '_partition')
    const rows = new Map<string, Row>()
    const letters: NewLetter[] = []
    let applied = 0
    let poisoned = 0
    for (const [index, read] of reads.entries()) {
      if (index % eventsAtOnce === eventsAtOnce - 1) await others()
      const { record, event } = read
      if (event === undefined && read.error === undefined) {
        letters.push(discardedLetter(record))
        continue
      }
      try {
        if (event === undefined) throw read.error
        if (refused.has(record.offset)) throw refused.get(record.offset)
        countEvent(tally, keyColumns, rows, event)
        applied++
      } catch (error) {
        poisoned++
        letters.push(letterOf(record, event?.type, error))
      }
    }
    const counted = [...rows].sort(byKey).map(([, row]) => row)
    return { applied, poisoned, letters, changes: { counted } }
  }

const loadMissing = async (
  reads: readonly Read[],
  { cache, parked }: Knowledge,
  sql: Sql,
  table: Table,
): Promise<void> => {
  const missing = new Set<string>()
  for (const { event } of reads) {
    if (event !== undefined && cache.get(event.subject) === undefined && !parked.has(event.subject))
      missing.add(event.subject)
  }
  // No row has a key that Postgres's text cannot hold, and none can be asked for: it is parked as it is folded.
  const asked = [...missing].filter((key) => !key.includes('\0'))
  const loaded = asked.length === 0 ? new Map<string, Row>() : await loadRows(sql, table, asked)
  for (const key of missing) {
    const row = loaded.get(key)
    cache.put(key, { stored: row !== undefined, row: row ?? null })
  }
}

/** `before` tells what the table holds before this batch is written. */
const changesOf = (
  before: ReadonlyMap<string, KnownRow>,
  after: ReadonlyMap<string, KnownRow>,
): RowChanges => {
  const inserted: Row[] = []
  const updated: Row[] = []
  const deleted: string[] = []
  for (const [key, { row }] of [...after].sort(byKey)) {
    const { stored } = before.get(key)!
    if (row !== null) (stored ? updated : inserted).push(row)
    else if (stored) deleted.push(key)
  }
  return { inserted, updated, deleted }
}

const byKey = ([left]: readonly [string, unknown], [right]: readonly [string, unknown]): number =>
  left < right ? -1 : left > right ? 1 : 0
