import { setImmediate as breathe } from 'node:timers/promises'
import { boundsOf } from '../../consumer/bounds.ts'
import { distinct } from '../../consumer/distinct.ts'
import { identityHash } from '../../consumer/identity-hash.ts'
import { verifyMark } from '../../consumer/mark.ts'
import type { Position } from '../../consumer/positions.ts'
import type { Corrections } from '../../dead-letter/correction.ts'
import { StoredRecord } from '../../dead-letter/stored-record.ts'
import { EmbudoError } from '../../define/error.ts'
import type { Log, LogRecord } from '../../log/port.ts'

/** What one partition has held since the log's start, read once from there on. */
export interface PartitionHistory extends AsyncDisposable {
  /**
   * The records that count and stand before `offset`, from where the last call ended: duplicates are dropped and
   * corrections applied, as the projector does. `offset` is a position, so there is a record before it.
   */
  before(offset: number): AsyncGenerator<readonly LogRecord[], void, void>
}

export interface HistoryParts {
  readonly log: Log
  /** All that were decided by now: the topic of corrections is read to its end before a history is. */
  readonly corrections?: Corrections | undefined
  readonly signal: AbortSignal
}

/**
 * Throws `log_beginning_lost`, since what is folded from a part of history is another row, and `log_changed` where
 * this is not the log that the position was moved on.
 */
export const openHistory = async (
  position: Position,
  duplicatesWithin: number,
  { log, corrections, signal }: HistoryParts,
): Promise<PartitionHistory> => {
  const { reader: name, topic, partition } = position
  const bounds = await boundsOf(log, topic, partition)
  if (bounds.start > 0) {
    throw new EmbudoError(
      'log_beginning_lost',
      `partition ${partition} of ${topic} begins at offset ${bounds.start}: what was before cannot be folded again`,
    )
  }
  const ending = new AbortController()
  const ends = AbortSignal.any([signal, ending.signal])
  const reader = log.reader({ maxBufferedBytes })
  try {
    await verifyMark(position, bounds, reader, ends)
  } catch (error) {
    await reader[Symbol.asyncDispose]()
    throw error
  }
  const batches = distinct(reader.read(topic, partition, 0, ends), {
    from: 0,
    duplicatesWithin,
    hash: identityHash(),
  })
  let waiting: readonly LogRecord[] = []
  let reached = 0

  return {
    async *before(offset) {
      for (;;) {
        const later = waiting.findIndex((record) => record.offset >= offset)
        const due = later === -1 ? waiting : waiting.slice(0, later)
        waiting = later === -1 ? [] : waiting.slice(later)
        if (due.length > 0) yield corrected(due, name, topic, partition, corrections)
        if (reached >= offset) return
        const next = await batches.next()
        if (next.done) {
          signal.throwIfAborted()
          throw new EmbudoError('log_closed', 'the log was closed', { retriable: true })
        }
        waiting = next.value.records
        reached = next.value.last.offset + 1
        // What was fetched ahead comes without waiting: others of this process have their turn in between.
        await breathe()
      }
    },
    async [Symbol.asyncDispose]() {
      ending.abort()
      await batches.return()
      await reader[Symbol.asyncDispose]()
    },
  }
}

const maxBufferedBytes = 4 * 1024 * 1024

const corrected = (
  records: readonly LogRecord[],
  reader: string,
  topic: string,
  partition: number,
  corrections: Corrections | undefined,
): readonly LogRecord[] => {
  if (corrections === undefined || corrections.size === 0) return records
  return records.flatMap((record) => {
    const correction = corrections.of(reader, topic, partition, record.offset)
    if (correction === undefined) return [record]
    return correction.decision === 'discarded' ? [] : [StoredRecord.edited(record, correction.value)]
  })
}
