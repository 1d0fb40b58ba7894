import { describe, expect, it } from 'vitest'
import type { DistinctBatch } from '../../../src/consumer/distinct.ts'
import { type FeedOptions, type Feeds, makeFeeds } from '../../../src/consumer/feeds.ts'
import { type MemoryLog, memoryLog } from '../../../src/log/memory-log.ts'
import { countedLog } from './counted-log.ts'

const topic = { name: 't', duplicatesWithin: 100 }
const never = new AbortController().signal

const makeWorld = async (records: number, options: FeedOptions = {}) => {
  const { log, counts } = countedLog(memoryLog())
  await log.ensureTopics([{ topic: topic.name, partitions: 1, replication: 1, settings: {} }])
  await append(log, 0, records)
  const feeds = makeFeeds(log, options)
  return { log, counts, feeds }
}

const append = async (log: MemoryLog, from: number, records: number): Promise<void> => {
  await log.append(
    Array.from({ length: records }, (_, index) => ({
      topic: topic.name,
      partition: 0,
      key: Buffer.from('k'),
      value: Buffer.from('v'),
      headers: [['ce_id', `e-${from + index}`]] as const,
    })),
  )
}

type Reading = AsyncGenerator<DistinctBatch, void, void>

const read = (feeds: Feeds, from: number, signal = never): Reading => feeds.read(topic, 0, from, signal)

/** Takes batches until the record before `end` has come; the offsets that came. */
const takeUntil = async (reading: Reading, end: number): Promise<number[]> => {
  const offsets: number[] = []
  while ((offsets.at(-1) ?? -1) < end - 1) {
    const { value } = await reading.next()
    offsets.push(...value!.records.map(({ offset }) => offset))
  }
  return offsets
}

const range = (from: number, end: number): number[] =>
  Array.from({ length: end - from }, (_, index) => from + index)

const settled = () => new Promise((resolve) => setImmediate(resolve))

/** Room for about 1,000 records. */
const little = { maxPassBytes: 602_000 }

describe('a feed', () => {
  it('reads a partition once for all who stand near one another, wherever each begins', async () => {
    const { feeds, counts } = await makeWorld(5_000)
    const readings = [read(feeds, 1_200), read(feeds, 1_000), read(feeds, 1_190), read(feeds, 1_900)]
    const taken = await Promise.all(readings.map((reading) => takeUntil(reading, 5_000)))
    expect(taken).toEqual([
      range(1_200, 5_000),
      range(1_000, 5_000),
      range(1_190, 5_000),
      range(1_900, 5_000),
    ])
    expect(counts).toMatchObject({ reads: 1, records: 4_924 })
  })

  it('gives all of them the same records, so that what is decoded once is there for all', async () => {
    const { feeds } = await makeWorld(10)
    const [one, other] = [await read(feeds, 0).next(), await read(feeds, 3).next()]
    expect(other.value!.records[0]).toBe(one.value!.records[3])
  })

  it('is not held up by a reader that stands still, which goes on by itself, and comes back', async () => {
    const { feeds, counts, log } = await makeWorld(10_000, little)
    const [fast, slow] = [read(feeds, 0), read(feeds, 0)]
    const first = await slow.next()

    expect(await takeUntil(fast, 10_000)).toEqual(range(0, 10_000))
    expect(counts).toMatchObject({ reads: 1, open: 1 })

    const rest = await takeUntil(slow, 10_000)
    expect([...first.value!.records.map(({ offset }) => offset), ...rest]).toEqual(range(0, 10_000))
    expect(counts.reads).toBe(2)
    const before = counts.records
    await append(log, 10_000, 100)
    expect(await takeUntil(slow, 10_100)).toEqual(range(10_000, 10_100))
    expect(await takeUntil(fast, 10_100)).toEqual(range(10_000, 10_100))
    expect(counts).toMatchObject({ reads: 2, open: 1, records: before + 100 })
  })

  it('reads once for several who replay from the beginning, until they reach who was there before', async () => {
    const { feeds, counts } = await makeWorld(10_000, little)
    const live = read(feeds, 9_900)
    await takeUntil(live, 10_000)
    const before = counts.records

    const replays = [read(feeds, 0), read(feeds, 0)]
    for (const replay of replays) expect(await replay.next()).toMatchObject({ done: false })
    const taken = await Promise.all(replays.map((replay) => takeUntil(replay, 10_000)))
    expect(taken.map((offsets) => offsets.at(0))).toEqual([500, 500])
    await settled()
    expect(counts).toMatchObject({ reads: 2, open: 1 })
    expect(counts.records - before).toBeLessThan(10_000)
  })

  it('ends its reading with the last who leaves; who leaves takes nobody along', async () => {
    const { feeds, counts } = await makeWorld(100)
    const [stopOne, stopOther] = [new AbortController(), new AbortController()]
    const [one, other] = [read(feeds, 0, stopOne.signal), read(feeds, 0, stopOther.signal)]
    await takeUntil(one, 100)
    await takeUntil(other, 100)
    const [oneWaits, otherWaits] = [one.next(), other.next()]

    stopOne.abort()
    expect(await oneWaits).toMatchObject({ done: true })
    await settled()
    expect(counts).toMatchObject({ reads: 1, open: 1 })

    stopOther.abort()
    expect(await otherWaits).toMatchObject({ done: true })
    await settled()
    expect(counts).toMatchObject({ reads: 1, open: 0 })
  })

  it('tells every reader what its reading fails with, and whoever comes then reads anew', async () => {
    const { feeds, counts, log } = await makeWorld(100)
    const readings = [read(feeds, 0), read(feeds, 0)]
    for (const reading of readings) await takeUntil(reading, 100)
    const waiting = readings.map((reading) => reading.next())
    log.faults.cut('t', 0, 50)
    for (const next of waiting) await expect(next).rejects.toMatchObject({ code: 'offset_out_of_range' })

    expect(await takeUntil(read(feeds, 0), 50)).toEqual(range(0, 50))
    expect(counts).toMatchObject({ reads: 2, open: 1 })
  })

  it('never skips what was deleted before it was read', async () => {
    const { feeds, log } = await makeWorld(5_000, little)
    const [fast, slow] = [read(feeds, 0), read(feeds, 0)]
    await slow.next()
    await takeUntil(fast, 5_000)
    log.faults.trim('t', 0, 1_000)
    await expect(takeUntil(slow, 5_000)).rejects.toMatchObject({ code: 'offset_out_of_range' })
    await expect(read(feeds, 999).next()).rejects.toMatchObject({ code: 'offset_out_of_range' })
    expect((await read(feeds, 1_000).next()).value!.records[0]!.offset).toBe(1_000)
  })

  it('refuses a position that the log does not have yet', async () => {
    const { feeds } = await makeWorld(100)
    await expect(read(feeds, 101).next()).rejects.toMatchObject({ code: 'offset_out_of_range' })
  })

  it('shares its memory among the passes', async () => {
    const { feeds, counts } = await makeWorld(10_000, { maxPassBytes: 6_020_000, maxBytes: 602_000 })
    const [fast, slow] = [read(feeds, 0), read(feeds, 0)]
    await slow.next()
    await takeUntil(fast, 10_000)
    await slow.next()
    expect(counts.reads).toBe(2)
  })
})
