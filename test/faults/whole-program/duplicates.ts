import type { LogRecord } from './log-reader.ts'

/** `duplicatesWithin` of every topic: its default. */
const defaultWithin = 100_000

/**
 * The records that count. One is a duplicate if and only if its source and id stand on its partition within so many
 * offsets before it, be that one a duplicate itself. Each partition's records must come in the order of the log.
 */
export const withoutDuplicates = (
  records: readonly LogRecord[],
  duplicatesWithin = defaultWithin,
): LogRecord[] => {
  const lastOffset = new Map<string, number>()
  return records.filter(({ topic, partition, source, id, offset }) => {
    if (id === '') return true
    const name = JSON.stringify([topic, partition, source, id])
    const before = lastOffset.get(name)
    lastOffset.set(name, offset)
    return before === undefined || offset - before > duplicatesWithin
  })
}
