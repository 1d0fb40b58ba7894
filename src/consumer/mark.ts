import { crc32 } from 'node:zlib'
import { EmbudoError } from '../define/error.ts'
import type { LogReader, LogRecord, PartitionBounds } from '../log/port.ts'
import type { Position } from './positions.ts'

/**
 * Tells one record from any other that could stand at its offset: when it was appended, and a checksum of its
 * bytes.
 */
export const markOf = (record: LogRecord): string => {
  const keyed = record.key === null ? 0 : crc32(record.key)
  return `${record.timestamp}-${crc32(record.value ?? '', keyed).toString(16)}`
}

/**
 * Throws `log_changed` unless the record before the position is the one that was applied last. A topic that was
 * deleted and made again, cut at its end, or has lost records that were never applied, is noticed before
 * anything is applied.
 */
export const verifyMark = async (
  position: Position,
  { start, end }: PartitionBounds,
  reader: LogReader,
  signal: AbortSignal,
): Promise<void> => {
  const { nextOffset, topic, partition } = position
  const changed = (what: string): EmbudoError =>
    new EmbudoError(
      'log_changed',
      `${topic}:${partition} is not the log that ${position.reader} has read: ${what}. Nothing more is applied; rebuild the projection once the topic is right`,
      { facts: { ...position, start, end } },
    )
  if (nextOffset > end) throw changed(`it ends at ${end}, and ${nextOffset} was applied`)
  if (nextOffset < start)
    throw changed(`it begins at ${start}, and ${nextOffset} to ${start - 1} were never applied`)
  if (nextOffset === start || position.mark === '') return
  const before = await recordAt(reader, topic, partition, nextOffset - 1, signal)
  signal.throwIfAborted()
  if (before === undefined || markOf(before) !== position.mark) {
    throw changed(`another record stands at ${nextOffset - 1}`)
  }
}

const recordAt = async (
  reader: LogReader,
  topic: string,
  partition: number,
  offset: number,
  signal: AbortSignal,
): Promise<LogRecord | undefined> => {
  for await (const batch of reader.read(topic, partition, offset, signal)) {
    const first = batch.records[0]
    return first?.offset === offset ? first : undefined
  }
  return undefined
}
