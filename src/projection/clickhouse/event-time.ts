import { timeOf } from '../../log/codec.ts'
import { isoMs } from '../../log/iso-time.ts'
import type { LogRecord } from '../../log/port.ts'

/** When it happened, in milliseconds since the epoch. */
export const timeMsOf = (record: Pick<LogRecord, 'timestamp' | 'header'>): number => {
  const time = record.header('ce_time')
  if (time === undefined) return record.timestamp
  return isoMs(time) ?? Date.parse(timeOf(record))
}
