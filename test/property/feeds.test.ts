import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { makeFeeds } from '../../src/consumer/feeds.ts'
import { decodeBatches } from '../../src/log/decode-batch.ts'
import { encodeBatch } from '../../src/log/encode-batch.ts'
import type { Log, LogBatch, LogReader, WholeRecord } from '../../src/log/port.ts'
import { writeInt64 } from '../../src/log/record-batch.ts'

/** What stands at an offset: an id, a record without one, or the marker of a transaction. */
type Place = 'a' | 'b' | 'c' | 'd' | 'e' | 'no id' | 'marker'

const anyHistory = fc.record({
  places: fc.array(
    fc.constantFrom<Place>('a', 'a', 'b', 'b', 'c', 'c', 'd', 'd', 'e', 'e', 'no id', 'marker'),
    { minLength: 1, maxLength: 200 },
  ),
  start: fc.nat(30),
  within: fc.integer({ min: 1, max: 12 }),
  cuts: fc.array(fc.nat(200), { maxLength: 60 }),
  /** What a pass may keep: from one batch to all of them. */
  roomRecords: fc.integer({ min: 1, max: 60 }),
  nearbyOffsets: fc.nat(10),
})

/** How a reader behaves: where it begins, how long it waits before each batch, and when it leaves and comes back. */
const anyReader = fc.record({
  from: fc.nat(200),
  waits: fc.array(fc.nat(60), { minLength: 1, maxLength: 20 }),
  leavesAfter: fc.array(fc.integer({ min: 1, max: 20 }), { maxLength: 4 }),
})

describe('readers of one partition', () => {
  it('each get what counts in their range and exact numbers, however they meet, part and come back', async () => {
    await fc.assert(
      fc.asyncProperty(
        anyHistory,
        fc.array(anyReader, { minLength: 1, maxLength: 6 }),
        fc.array(fc.nat(6), { minLength: 1, maxLength: 30 }),
        async (history, readers, fetchWaits) => {
          const log = chosenLog(history, fetchWaits)
          const { within: duplicatesWithin, roomRecords, nearbyOffsets } = history
          await using feeds = makeFeeds(log, { maxPassBytes: roomRecords * 601, nearbyOffsets })
          await Promise.all(
            readers.map(async ({ from, waits, leavesAfter }) => {
              const begin = Math.min(Math.max(from, log.start), log.end)
              const read: number[] = []
              let [position, taken, duplicates, markers] = [begin, 0, 0, 0]
              const leaves = [...leavesAfter]
              while (position < log.end) {
                const stop = new AbortController()
                const topic = { name: 't', duplicatesWithin }
                for await (const batch of feeds.read(topic, 0, position, stop.signal)) {
                  expect(batch.last.offset).toBeGreaterThanOrEqual(position)
                  read.push(...batch.records.map(({ offset }) => offset))
                  duplicates += batch.duplicates
                  markers += batch.markers
                  position = batch.last.offset + 1
                  if (position >= log.end) break
                  await ticks(waits[taken++ % waits.length]!)
                  if (leaves[0] !== undefined && taken >= leaves[0]) {
                    taken = 0
                    leaves.shift()
                    stop.abort()
                  }
                }
              }
              const expected = log.expected(begin, duplicatesWithin)
              expect({ read, duplicates, markers }).toEqual(expected)
            }),
          )
          await ticks(20)
          expect(log.reading()).toBe(0)
        },
      ),
      { numRuns: 400 },
    )
  })
})

const ticks = async (count: number): Promise<void> => {
  for (let tick = 0; tick < count; tick++) await Promise.resolve()
  if (count > 40) await new Promise((resolve) => setImmediate(resolve))
}

/** A log of one partition, cut into batches at chosen offsets, whose fetches take as long as is chosen. */
const chosenLog = (
  { places, start, cuts }: { places: readonly Place[]; start: number; cuts: readonly number[] },
  fetchWaits: readonly number[],
) => {
  const records = places.flatMap((place, index) => recordAt(start + index, place))
  const end = (records.at(-1)?.offset ?? start - 1) + 1
  const ends = [...new Set([...cuts.map((cut) => start + cut), end])].toSorted((a, b) => a - b)
  let [fetches, reading] = [0, 0]

  async function* read(_topic: string, _partition: number, from: number, signal: AbortSignal) {
    reading++
    try {
      let next = from
      for (const cut of ends) {
        if (cut <= next) continue
        await ticks(fetchWaits[fetches++ % fetchWaits.length]!)
        if (signal.aborted) return
        const part = records.filter(({ offset }) => offset >= next && offset < cut)
        const last = part.at(-1)
        if (last === undefined) continue
        const markers = last.offset + 1 - next - part.length
        next = last.offset + 1
        yield { topic: 't', partition: 0, records: part, highWatermark: end, markers } satisfies LogBatch
      }
      await new Promise<void>((resolve) => {
        if (signal.aborted) resolve()
        signal.addEventListener('abort', () => resolve())
      })
    } finally {
      reading--
    }
  }

  const reader = (): LogReader => ({ read, async [Symbol.asyncDispose]() {} })
  const log: Pick<Log, 'bounds' | 'reader'> = { bounds: async () => [{ partition: 0, start, end }], reader }
  return Object.assign(log as Log, {
    start,
    end,
    reading: () => reading,
    /** Promise 4, word for word. */
    expected(from: number, within: number) {
      const read: number[] = []
      let [duplicates, markers] = [0, 0]
      for (let offset = from; offset < end; offset++) {
        const place = places[offset - start]!
        const before = places.slice(Math.max(0, offset - start - within), offset - start)
        if (place === 'marker') markers++
        else if (place !== 'no id' && before.includes(place)) duplicates++
        else read.push(offset)
      }
      return { read, duplicates, markers }
    },
  })
}

const recordAt = (offset: number, place: Place): WholeRecord[] => {
  if (place === 'marker') return []
  const headers: [string, string][] = place === 'no id' ? [] : [['ce_id', place]]
  const batch = encodeBatch([{ key: Buffer.from('k'), value: Buffer.alloc(0), headers }], 0)
  writeInt64(batch, offset, 0)
  return decodeBatches(batch)
}
