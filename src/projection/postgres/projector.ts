import type { Pool } from 'pg'
import { advanceBehind, type DistinctBatch } from '../../consumer/distinct.ts'
import { intake } from '../../consumer/intake.ts'
import type { Advance, Position } from '../../consumer/positions.ts'
import type { ReadModelDefinition, Row } from '../../define/read-model.ts'
import type { TallyDefinition } from '../../define/tally.ts'
import type { Codec } from '../../log/codec.ts'
import type { LogRecord } from '../../log/port.ts'
import { countEvent, evolveRow, type KnownRow } from './fold.ts'
import { loadRows } from './load.ts'
import { RowCache } from './row-cache.ts'
import type { Table } from './table.ts'
import { type RowChanges, writeCounts, writeRows } from './write.ts'

export interface ProjectorParts {
  readonly pool: Pool
  readonly codec: Codec
  readonly table: Table
  readonly batchRecords: number
  readonly cacheRows: number
  /** Told of each batch as it is taken; what it returns is called once that is committed or has failed. */
  readonly observe: (batches: readonly DistinctBatch[]) => (error?: unknown) => void
}

/** One partition of a read model: batches folded in memory, each written with its position in one transaction. */
export const projectReadModel =
  (model: ReadModelDefinition, parts: ProjectorParts) =>
  async (start: Position, batches: AsyncIterable<DistinctBatch>, signal: AbortSignal): Promise<void> => {
    const cache = new RowCache(parts.cacheRows)
    let beingWritten = 0
    await eachBatch(start, batches, signal, parts, async (records) => {
      cache.trim(beingWritten)
      const { applied, changed } = await foldBatch(model, parts, cache, records)
      beingWritten = changed.size
      return {
        applied,
        write: (position, next) => writeRows(parts.pool, parts.table, position, next, changesOf(changed)),
      }
    })
  }

/** One partition of a tally: events counted in memory, each batch's sums added with its position. */
export const projectTally =
  (tally: TallyDefinition, parts: ProjectorParts) =>
  async (start: Position, batches: AsyncIterable<DistinctBatch>, signal: AbortSignal): Promise<void> => {
    const keyColumns = parts.table.keys.map((key) => key.name).filter((name) => name !== '_partition')
    await eachBatch(start, batches, signal, parts, async (records) => {
      const rows = new Map<string, Row>()
      let applied = 0
      for (const { record, topic, partition } of records) {
        if (record.value !== null && parts.codec.writerOf(record.value)!.event.type in tally.count) {
          countEvent(tally, keyColumns, rows, parts.codec.event(record, topic, partition))
          applied++
        }
      }
      const sorted = [...rows].sort(byKey).map(([, row]) => row)
      return {
        applied,
        write: (position, next) =>
          writeCounts(parts.pool, parts.table, tally.measures, position, next, sorted),
      }
    })
  }

interface Placed {
  readonly record: LogRecord
  readonly topic: string
  readonly partition: number
}

/** What a batch comes to: how many of its records were of interest, and how it is written. */
interface Folded {
  readonly applied: number
  readonly write: (position: Position, next: Advance) => Promise<Position>
}

/** Folds a batch while the one before it is written; writes stay in order. */
const eachBatch = async (
  start: Position,
  batches: AsyncIterable<DistinctBatch>,
  signal: AbortSignal,
  parts: ProjectorParts,
  fold: (records: readonly Placed[]) => Promise<Folded>,
): Promise<void> => {
  let writing: Promise<Position> = Promise.resolve(start)
  const failing = new AbortController()
  try {
    for await (const taken of intake(
      batches,
      parts.batchRecords,
      AbortSignal.any([signal, failing.signal]),
    )) {
      const observed = parts.observe(taken)
      const records = await readable(parts.codec, taken)
      const { applied, write } = await fold(records)
      const position = await writing
      writing = write(position, advanceBehind(taken, { applied }))
      // It is awaited with the next batch; a failure must not wait for that one to come.
      writing.then(
        () => observed(),
        (error: unknown) => {
          observed(error)
          failing.abort()
        },
      )
    }
  } finally {
    await writing
  }
}

/** The records, with every writer's schema learnt. */
const readable = async (codec: Codec, batches: readonly DistinctBatch[]): Promise<Placed[]> => {
  const placed: Placed[] = []
  for (const { topic, partition, records } of batches) {
    for (const record of records) {
      if (record.value !== null && codec.writerOf(record.value) === undefined) await codec.learn(record.value)
      placed.push({ record, topic, partition })
    }
  }
  return placed
}

const foldBatch = async (
  model: ReadModelDefinition,
  { codec, pool, table }: ProjectorParts,
  cache: RowCache,
  records: readonly Placed[],
): Promise<{ readonly applied: number; readonly changed: ReadonlyMap<string, KnownRow> }> => {
  const events = records.flatMap(({ record, topic, partition }) =>
    record.value !== null && codec.writerOf(record.value)!.event.type in model.evolve
      ? [codec.event(record, topic, partition)]
      : [],
  )
  const missing = new Set<string>()
  for (const { subject } of events) if (cache.get(subject) === undefined) missing.add(subject)
  const loaded = missing.size === 0 ? new Map<string, Row>() : await loadRows(pool, table, [...missing])
  for (const key of missing) {
    const row = loaded.get(key)
    cache.put(key, { stored: row !== undefined, row: row ?? null })
  }
  const before = new Map<string, KnownRow>()
  const after = new Map<string, KnownRow>()
  for (const event of events) {
    const known = after.get(event.subject) ?? cache.get(event.subject)!
    if (!before.has(event.subject)) before.set(event.subject, known)
    after.set(event.subject, evolveRow(model, known, event))
  }
  for (const [key, { row }] of after) cache.put(key, { stored: row !== null, row })
  const changed = new Map(
    [...after].map(([key, { row }]) => [key, { stored: before.get(key)!.stored, row }] as const),
  )
  return { applied: events.length, changed }
}

/** `stored` tells what the table holds before this batch is written. */
const changesOf = (changed: ReadonlyMap<string, KnownRow>): RowChanges => {
  const inserted: Row[] = []
  const updated: Row[] = []
  const deleted: string[] = []
  for (const [key, { stored, row }] of [...changed].sort(byKey)) {
    if (row !== null) (stored ? updated : inserted).push(row)
    else if (stored) deleted.push(key)
  }
  return { inserted, updated, deleted }
}

const byKey = ([left]: readonly [string, unknown], [right]: readonly [string, unknown]): number =>
  left < right ? -1 : left > right ? 1 : 0
