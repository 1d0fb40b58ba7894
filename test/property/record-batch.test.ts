import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { EmbudoError } from '../../src/define/error.ts'
import { decodeBatches, nextOffsetAfter } from '../../src/log/decode-batch.ts'
import { encodeBatch, recordSizeBound } from '../../src/log/encode-batch.ts'
import type { LogRecord, RecordContent } from '../../src/log/port.ts'
import { type Compression, writeInt64 } from '../../src/log/record-batch.ts'

const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array))
const text = fc.string({
  unit: fc.oneof(fc.constantFrom('a', 'Z', '_', '0'), fc.constantFrom('é', '✓', '𝄞')),
  maxLength: 80,
})
const record: fc.Arbitrary<RecordContent> = fc.record({
  key: bytes,
  value: bytes,
  headers: fc.array(fc.tuple(text, text), { maxLength: 6 }),
})
const batch = fc.record({
  records: fc.array(record, { minLength: 1, maxLength: 90 }),
  timestamp: fc.integer({ min: 0, max: 2 ** 45 }),
  baseOffset: fc.integer({ min: 0, max: 2 ** 50 }),
  compression: fc.constantFrom<Compression>('none', 'gzip', 'zstd'),
})

describe('record batches', () => {
  it('come back as they were written, whatever the compression', () => {
    fc.assert(
      fc.property(batch, (given) => {
        const decoded = decodeBatches(encoded(given))
        expect(decoded.map(plain)).toEqual(given.records.map((each, at) => written(each, given, at)))
      }),
    )
  })

  it('one behind the other give the records from an offset on, and the offset to go on from', () => {
    fc.assert(
      fc.property(fc.array(batch, { minLength: 1, maxLength: 4 }), fc.nat(400), (batches, from) => {
        let next = 0
        const placed = batches.map((each) => {
          const baseOffset = next
          next += each.records.length
          return { ...each, baseOffset }
        })
        const all = Buffer.concat(placed.map(encoded))
        const expected = placed.flatMap((each) => each.records.map((one, at) => written(one, each, at)))
        expect(decodeBatches(all, { from }).map(plain)).toEqual(expected.slice(from))
        expect(nextOffsetAfter(all)).toBe(next)
      }),
    )
  })

  it('cut off anywhere give the whole batches before the cut', () => {
    fc.assert(
      fc.property(batch, batch, fc.double({ min: 0, max: 1, noNaN: true }), (first, second, share) => {
        const [one, other] = [encoded(first), encoded(second)]
        const cut = Math.floor(share * (one.length + other.length))
        const decoded = decodeBatches(Buffer.concat([one, other]).subarray(0, cut))
        const whole = cut >= one.length + other.length ? [first, second] : cut >= one.length ? [first] : []
        expect(decoded.map(plain)).toEqual(
          whole.flatMap((each) => each.records.map((record, at) => written(record, each, at))),
        )
      }),
    )
  })

  it('with a damaged byte give an error or nothing, never wrong records', () => {
    fc.assert(
      fc.property(batch, fc.nat(), fc.integer({ min: 1, max: 255 }), (given, place, flip) => {
        const damaged = encoded(given)
        // The checksum begins behind what the broker fills in: the offset and the leader's epoch.
        const places = [
          8,
          9,
          10,
          11,
          ...Array(damaged.length - 16)
            .keys()
            .map((index) => index + 16),
        ]
        const at = places[place % places.length]!
        damaged[at]! ^= flip
        expect(outcomeOf(() => decodeBatches(damaged))).toMatch(
          /^(record_batch_corrupt|record_batch_unreadable|0 records)$/,
        )
      }),
    )
  })

  it('with any damage at all end in records or an error when their checksum is not looked at', () => {
    fc.assert(
      fc.property(batch, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1 }), (given, damage) => {
        const damaged = encoded({ ...given, compression: 'none' })
        for (const [place, byte] of damage) damaged[61 + (place % (damaged.length - 61))] = byte
        try {
          for (const each of decodeBatches(damaged, { checkCrc: false })) plain(each)
        } catch (error) {
          expect(error).toMatchObject({ code: 'record_batch_corrupt' })
        }
      }),
    )
  })

  it('are never larger than the sum of their records says', () => {
    fc.assert(
      fc.property(batch, ({ records }) => {
        const bound = records.reduce((sum, each) => sum + recordSizeBound(each), 61)
        expect(encodeBatch(records, 0).length).toBeLessThanOrEqual(bound)
      }),
    )
  })
})

// A length that grew makes the batch one that is cut off: no records.
const outcomeOf = (decode: () => readonly LogRecord[]): string => {
  try {
    return `${decode().length} records`
  } catch (error) {
    return error instanceof EmbudoError ? error.code : String(error)
  }
}

interface Given {
  readonly records: readonly RecordContent[]
  readonly timestamp: number
  readonly baseOffset: number
  readonly compression: Compression
}

/** As the broker would hand it out: it writes the offset. */
const encoded = ({ records, timestamp, baseOffset, compression }: Given): Buffer => {
  const batch = encodeBatch(records, timestamp, undefined, compression)
  writeInt64(batch, baseOffset, 0)
  return batch
}

const plain = (record: LogRecord) => ({
  offset: record.offset,
  timestamp: record.timestamp,
  key: record.key?.toString('hex'),
  value: record.value?.toString('hex'),
  headers: record.headers(),
  found: Object.keys(record.headers()).map((name) => record.header(name)),
})

const written = ({ key, value, headers }: RecordContent, { timestamp, baseOffset }: Given, at: number) => {
  const firsts = new Map<string, string>()
  for (const [name, text] of headers) if (!firsts.has(name)) firsts.set(name, text)
  const asObject = Object.fromEntries(firsts)
  return {
    offset: baseOffset + at,
    timestamp,
    key: key.toString('hex'),
    value: value.toString('hex'),
    headers: asObject,
    found: Object.values(asObject),
  }
}
