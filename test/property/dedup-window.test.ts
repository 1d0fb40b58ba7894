import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DedupWindow } from '../../src/consumer/dedup-window.ts'
import { distinct } from '../../src/consumer/distinct.ts'
import { identityHash } from '../../src/consumer/identity-hash.ts'
import { decodeBatches } from '../../src/log/decode-batch.ts'
import { encodeBatch } from '../../src/log/encode-batch.ts'
import type { LogBatch, WholeRecord } from '../../src/log/port.ts'
import { writeInt64 } from '../../src/log/record-batch.ts'

/** Promise 4, word for word: is the same id within the records before it, whether that one counted or not? */
const verdicts = (ids: readonly (string | null)[], within: number): boolean[] =>
  ids.map((id, offset) => id !== null && ids.slice(Math.max(0, offset - within), offset).includes(id))

// Few buckets and few ids: chains, collisions of buckets and repeats are the rule.
const anyIds = fc.array(fc.option(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g'), { freq: 8 }), {
  maxLength: 120,
})
const anyWithin = fc.integer({ min: 1, max: 12 })

describe('the window', () => {
  it('holds what stands within its size, and nothing else', () => {
    fc.assert(
      fc.property(anyIds, anyWithin, fc.integer({ min: 0, max: 2 ** 40 }), (ids, within, first) => {
        const window = new DedupWindow(within)
        const found = ids.map((id, index) =>
          window.take(first + index, id === null ? undefined : Uint32Array.of(7, 0, 0, id.charCodeAt(0))),
        )
        expect(found).toEqual(verdicts(ids, within))
      }),
    )
  })

  it('counts offsets, also those that are left out', () => {
    const window = new DedupWindow(10)
    const a = Uint32Array.of(1, 1, 1, 1)
    expect([0, 10, 21, 30, 1_000, 1_001].map((offset) => window.take(offset, a))).toEqual([
      false,
      true,
      false,
      true,
      false,
      true,
    ])
  })

  it('is no slower where one id comes for ever', () => {
    const window = new DedupWindow(100_000)
    const a = Uint32Array.of(1, 1, 1, 1)
    let duplicates = 0
    // A chain that grew with each of them would be walked for minutes.
    for (let offset = 0; offset < 300_000; offset++) if (window.take(offset, a)) duplicates++
    expect(duplicates).toBe(299_999)
  })
})

const recordsOf = (ids: readonly (string | null)[]): WholeRecord[] =>
  ids.flatMap((id, offset) => {
    const headers: [string, string][] = id === null ? [] : [['ce_id', id]]
    const batch = encodeBatch([{ key: Buffer.from('k'), value: Buffer.alloc(0), headers }], 0)
    writeInt64(batch, offset, 0)
    return decodeBatches(batch)
  })

async function* batchesOf(
  records: readonly WholeRecord[],
  from: number,
  cuts: readonly number[],
): AsyncGenerator<LogBatch> {
  const ends = [...new Set([...cuts, records.length])].filter((end) => end > from).toSorted((a, b) => a - b)
  for (const [index, end] of ends.entries()) {
    const part = records.slice(index === 0 ? from : ends[index - 1], end)
    if (part.length > 0)
      yield { topic: 't', partition: 0, records: part, highWatermark: records.length, markers: 0 }
  }
}

describe('distinct', () => {
  it('gives the same records from wherever reading begins, however the log is cut into batches', async () => {
    await fc.assert(
      fc.asyncProperty(
        anyIds,
        anyWithin,
        fc.nat(120),
        fc.array(fc.nat(120)),
        async (ids, within, start, cuts) => {
          const from = Math.min(start, ids.length)
          const records = recordsOf(ids)
          const windowStart = Math.max(0, from - within)
          const read: number[] = []
          let [reached, duplicates] = [from, 0]
          for await (const batch of distinct(batchesOf(records, windowStart, cuts), {
            from,
            duplicatesWithin: within,
            hash: identityHash(),
          })) {
            read.push(...batch.records.map(({ offset }) => offset))
            duplicates += batch.duplicates
            reached = batch.last.offset + 1
          }
          const isDuplicate = verdicts(ids, within)
          const expected = records.map(({ offset }) => offset).filter((offset) => offset >= from)
          expect(read).toEqual(expected.filter((offset) => !isDuplicate[offset]))
          expect(duplicates).toBe(expected.filter((offset) => isDuplicate[offset]).length)
          expect(reached).toBe(ids.length)
        },
      ),
    )
  })
})
