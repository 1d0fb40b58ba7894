import type { LogBatch, LogRecord, WholeRecord } from '../log/port.ts'
import { DedupWindow } from './dedup-window.ts'
import type { IdentityHash } from './identity-hash.ts'
import { markOf } from './mark.ts'
import type { Advance } from './positions.ts'

/** A batch of the log without its duplicates: `records` may be empty. */
export interface DistinctBatch extends LogBatch {
  /** The last record of the log's batch, whether it counts or not: a reader stands behind it afterwards. */
  readonly last: LogRecord
  readonly duplicates: number
}

/** One that can be cut: it knows where it begins, and where the records stand that are no longer in it. */
export interface WholeBatch extends DistinctBatch {
  /** The first offset that its counts speak of; the last is that of `last`. */
  readonly first: number
  readonly duplicateOffsets: readonly number[]
}

/** What of a batch stands at `from` or behind it, in exact numbers; `from` is not behind its last record. */
export const cutBefore = (batch: WholeBatch, from: number): WholeBatch => {
  if (from <= batch.first) return batch
  const records = batch.records.slice(firstAtOrBehind(batch.records, from))
  const duplicateOffsets = batch.duplicateOffsets.filter((offset) => offset >= from)
  const duplicates = duplicateOffsets.length
  // Offsets are dense: what is neither a record nor a duplicate is a marker.
  const markers = Math.min(batch.markers, batch.last.offset + 1 - from - records.length - duplicates)
  return { ...batch, first: from, records, duplicateOffsets, duplicates, markers }
}

const firstAtOrBehind = (records: readonly LogRecord[], offset: number): number => {
  const index = records.findIndex((record) => record.offset >= offset)
  return index < 0 ? records.length : index
}

/**
 * The step behind batches that follow one another, of whose records so many were applied or parked: the others were
 * of no interest.
 */
export const advanceBehind = (
  batches: readonly DistinctBatch[],
  { applied, deadLettered = 0 }: { readonly applied: number; readonly deadLettered?: number },
): Advance => {
  let [records, duplicates, markers] = [0, 0, 0]
  for (const batch of batches) {
    records += batch.records.length
    duplicates += batch.duplicates
    markers += batch.markers
  }
  const { last } = batches.at(-1)!
  const counts = { applied, deadLettered, ignored: records - applied - deadLettered, duplicates, markers }
  return { nextOffset: last.offset + 1, mark: markOf(last), counts }
}

export interface DistinctOptions {
  /** The first offset whose record is given out; those that `batches` has before it only fill the window. */
  readonly from: number
  /**
   * How many offsets back a duplicate is known: a record is one if its source and id stand on the partition
   * within that many offsets before it, whether that one counted or not.
   */
  readonly duplicatesWithin: number
  readonly hash: IdentityHash
}

/**
 * The records that count. The verdict follows from the log alone, provided that `batches` begin
 * `duplicatesWithin` offsets before `from`, or where the log does: a rebuild drops what live reading dropped.
 */
export async function* distinct(
  batches: AsyncIterable<LogBatch>,
  { from, duplicatesWithin, hash }: DistinctOptions,
): AsyncGenerator<WholeBatch, void, void> {
  const window = new DedupWindow(duplicatesWithin)
  for await (const batch of batches) {
    const last = batch.records.at(-1)
    if (last === undefined) continue
    const records: WholeRecord[] = []
    const duplicateOffsets: number[] = []
    for (const record of batch.records) {
      if (window.take(record.offset, hash(record))) duplicateOffsets.push(record.offset)
      else records.push(record)
    }
    if (last.offset < from) continue
    const { topic, partition, highWatermark, markers } = batch
    const whole: WholeBatch = {
      ...{ topic, partition, highWatermark, markers, records, last },
      first: last.offset + 1 - batch.records.length - markers,
      duplicates: duplicateOffsets.length,
      duplicateOffsets,
    }
    yield cutBefore(whole, from)
  }
}
