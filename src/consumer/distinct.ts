import type { LogBatch, LogRecord } from '../log/port.ts'
import { DedupWindow } from './dedup-window.ts'
import type { IdentityHash } from './identity-hash.ts'

/** A batch of the log without its duplicates: `records` may be empty. */
export interface DistinctBatch extends LogBatch {
  /** The last record of the log's batch, whether it counts or not: a reader stands behind it afterwards. */
  readonly last: LogRecord
  readonly duplicates: number
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
): AsyncGenerator<DistinctBatch, void, void> {
  const window = new DedupWindow(duplicatesWithin)
  for await (const batch of batches) {
    const last = batch.records.at(-1)
    if (last === undefined) continue
    const records: LogRecord[] = []
    let duplicates = 0
    for (const record of batch.records) {
      const isDuplicate = window.take(record.offset, hash(record))
      if (record.offset < from) continue
      if (isDuplicate) duplicates++
      else records.push(record)
    }
    const { topic, partition, highWatermark } = batch
    if (last.offset >= from) yield { topic, partition, highWatermark, records, last, duplicates }
  }
}
