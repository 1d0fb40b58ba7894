import { describe, expect, it } from 'vitest'
import { markOf, verifyMark } from '../../../src/consumer/mark.ts'
import type { LogReader, LogRecord } from '../../../src/log/port.ts'

const record = (offset: number, more: Partial<LogRecord> = {}): LogRecord =>
  ({
    offset,
    timestamp: 1_000 + offset,
    key: Buffer.from('L-1'),
    value: Buffer.from(`v${offset}`),
    ...more,
  }) as LogRecord

const readerOf = (records: readonly LogRecord[]): LogReader =>
  ({
    async *read(topic: string, partition: number, from: number) {
      const found = records.filter(({ offset }) => offset >= from)
      if (found.length > 0) yield { topic, partition, records: found, highWatermark: 10 }
    },
  }) as unknown as LogReader

const log = [5, 6, 7].map((offset) => record(offset))
const position = (nextOffset: number, mark: string) => ({
  reader: 'r',
  generation: 1,
  topic: 't',
  partition: 0,
  epoch: 1,
  nextOffset,
  mark,
})
const verify = (nextOffset: number, mark: string, records = log) =>
  verifyMark(
    position(nextOffset, mark),
    { partition: 0, start: 5, end: 8 },
    readerOf(records),
    new AbortController().signal,
  )

describe('a mark', () => {
  it('tells a record from others by when it was appended, its key and its value', () => {
    const others = [
      record(6),
      record(5, { timestamp: 1 }),
      record(5, { key: null }),
      record(5, { value: null }),
    ]
    expect(new Set([record(5), ...others].map(markOf)).size).toBe(5)
    expect(markOf(record(5))).toBe(markOf(record(5)))
  })

  it('is found again at its place', async () => {
    await verify(7, markOf(log[1]!))
    await verify(8, markOf(log[2]!))
  })

  it('is not asked for where nothing was applied yet', async () => {
    await verify(5, '')
    await verify(5, 'anything: the record before it is gone')
  })

  it.each([
    ['the log was cut', 9, markOf(record(8))],
    ['its beginning was lost before it was read', 4, markOf(record(3))],
    ['another record stands there', 7, markOf(record(6, { value: Buffer.from('other') }))],
  ])('stops the reader where %s', async (_, nextOffset, mark) => {
    await expect(verify(nextOffset, mark)).rejects.toMatchObject({ code: 'log_changed', retriable: false })
  })

  it('stops the reader where the record is missing', async () => {
    await expect(verify(7, markOf(log[1]!), [record(7)])).rejects.toMatchObject({ code: 'log_changed' })
  })
})
