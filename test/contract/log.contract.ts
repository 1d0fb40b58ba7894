import { describe, expect, it } from 'vitest'
import { isRetriable } from '../../src/define/error.ts'
import type { Appended, AppendRecord, Log, LogFailure, LogReader, WholeRecord } from '../../src/log/port.ts'
import { until } from '../processes.ts'

/** What the suite needs besides the port: a log with chosen bounds, and a way to take away what was written. */
export interface LogUnderTest {
  open(options?: { readonly maxPendingBytes?: number }): Promise<Log>
  /** Deletes the records before an offset. */
  trim(topic: string, partition: number, start: number): Promise<void>
  /** Deletes the topic and makes it again. */
  recreate(topic: string, partitions: number): Promise<void>
  /** Whether others may look while it is deleted and not yet made again. */
  readonly isGoneBetween?: boolean
  /** What others see of a consumer group: next offsets by partition. */
  groupOffsets(group: string, topic: string): Promise<ReadonlyMap<number, number>>
}

/** What every log promises. */
export const logContract = (name: string, subject: LogUnderTest): void => {
  describe(`${name}: topics`, () => {
    it('are created where they are missing, empty, and left alone where they exist', async () => {
      await using log = await subject.open()
      const topic = await newTopic(log, 3)
      await log.append([record(topic, 1, 'kept')])

      await log.ensureTopics([spec(topic, 3)])

      expect(await log.bounds(topic)).toEqual([
        { partition: 0, start: 0, end: 0 },
        { partition: 1, start: 0, end: 1 },
        { partition: 2, start: 0, end: 0 },
      ])
    })

    it('can be created by two processes at the same time', async () => {
      await using one = await subject.open()
      const topic = uniqueName()
      await Promise.all([one.ensureTopics([spec(topic, 2)]), one.ensureTopics([spec(topic, 2)])])
      expect(await one.bounds(topic)).toHaveLength(2)
    })

    it('with another number of partitions are refused', async () => {
      await using log = await subject.open()
      const topic = await newTopic(log, 2)
      await expect(log.ensureTopics([spec(topic, 3)])).rejects.toMatchObject({
        code: 'partitions_differ',
        retriable: false,
        facts: { topic, expected: 3, found: 2 },
      })
    })

    it('that do not exist have no bounds', async () => {
      await using log = await subject.open()
      await expect(log.bounds(uniqueName())).rejects.toMatchObject({ code: 'topic_unknown' })
    })
  })

  describe(`${name}: append`, () => {
    it('answers each record with its place, in the order given', async () => {
      await using log = await subject.open()
      const topic = await newTopic(log, 2)
      const first = await log.append([record(topic, 0, 'a'), record(topic, 1, 'b'), record(topic, 0, 'c')])
      const second = await log.append([record(topic, 0, 'd')])
      expect(first).toEqual([
        { topic, partition: 0, offset: 0 },
        { topic, partition: 1, offset: 0 },
        { topic, partition: 0, offset: 1 },
      ])
      expect(second).toEqual([{ topic, partition: 0, offset: 2 }])
    })

    it('of nothing answers with nothing', async () => {
      await using log = await subject.open()
      expect(await log.append([])).toEqual([])
    })

    it('puts the records of a call behind those of earlier calls, however many run at once', async () => {
      await using log = await subject.open()
      const topic = await newTopic(log, 3)
      const calls = Array.from({ length: 64 }, (_, call) =>
        Array.from({ length: 30 }, (_, at) => record(topic, at % 3, `${call}.${Math.floor(at / 3)}`)),
      )
      const outcomes = await Promise.all(calls.map((call) => log.append(call)))

      expect(outcomes.flat().filter(isFailure)).toEqual([])
      const expected = Array.from({ length: 640 }, (_, i) => `${Math.floor(i / 10)}.${i % 10}`)
      for (const partition of [0, 1, 2]) {
        const records = await readAll(log, topic, partition)
        expect(records.map(({ value }) => String(value))).toEqual(expected)
        expect(records.map(({ offset }) => offset)).toEqual([...expected.keys()])
      }
    })

    it('refuses what has no topic or partition, and takes the rest of the call', async () => {
      await using log = await subject.open()
      const topic = await newTopic(log, 1)
      const outcomes = await log.append([
        record(uniqueName(), 0, 'no topic'),
        record(topic, 0, 'good'),
        record(topic, 5, 'no partition'),
      ])
      expect(outcomes).toEqual([
        expect.objectContaining({ failed: true, code: 'log_refused', retriable: false }),
        { topic, partition: 0, offset: 0 },
        expect.objectContaining({ failed: true, code: 'log_refused', retriable: false }),
      ])
    })

    it('says which record is too large, and takes those around it, in order', async () => {
      await using log = await subject.open()
      const topic = await newTopic(log, 1)
      const tooLarge = { ...record(topic, 0, ''), value: Buffer.alloc(2 * 1024 * 1024, 1) }
      const outcomes = await log.append([record(topic, 0, 'a'), tooLarge, record(topic, 0, 'b')])
      expect(outcomes).toEqual([
        { topic, partition: 0, offset: 0 },
        expect.objectContaining({ failed: true, code: 'record_too_large', retriable: false }),
        { topic, partition: 0, offset: 1 },
      ])
    })

    it('pushes back when too much waits, and has then taken nothing', async () => {
      await using log = await subject.open({ maxPendingBytes: 10_000 })
      const topic = await newTopic(log, 1)
      const half = () => [{ ...record(topic, 0, ''), value: Buffer.alloc(6_000) }]
      const taken = log.append(half())
      await expect(log.append(half())).rejects.toMatchObject({ code: 'log_busy', retriable: true })
      expect(await taken).toEqual([{ topic, partition: 0, offset: 0 }])

      expect(await log.append(half())).toEqual([{ topic, partition: 0, offset: 1 }])
    })

    it('does not go on after close', async () => {
      const log = await subject.open()
      const topic = await newTopic(log, 1)
      const before = log.append([record(topic, 0, 'a')])
      await log[Symbol.asyncDispose]()
      expect(await before).toEqual([{ topic, partition: 0, offset: 0 }])
      await expect(log.append([record(topic, 0, 'b')])).rejects.toMatchObject({ code: 'log_closed' })
    })
  })

  describe(`${name}: read`, () => {
    it('gives back what was appended', async () => {
      await using log = await subject.open()
      const topic = await newTopic(log, 1)
      const before = Date.now()
      await log.append([
        {
          topic,
          partition: 0,
          key: Buffer.from('L-1'),
          value: Buffer.from([0, 1, 255]),
          headers: [
            ['ce_id', '1'],
            ['ce_source', 'Zürich ✓'],
            ['ce_id', 'again'],
            ['empty', ''],
          ],
        },
        { topic, partition: 0, key: Buffer.alloc(0), value: Buffer.alloc(0), headers: [] },
      ])
      const [first, second] = await readAll(log, topic, 0)
      expect(String(first?.key)).toBe('L-1')
      expect(first?.value).toEqual(Buffer.from([0, 1, 255]))
      expect(first?.header('ce_id')).toBe('1')
      expect(first?.header('ce_source')).toBe('Zürich ✓')
      expect(first?.header('empty')).toBe('')
      expect(first?.header('ce_i')).toBeUndefined()
      const copied = Buffer.alloc(6, '.')
      expect(first?.copyHeader('ce_source', copied, 2)).toBe(Buffer.byteLength('Zürich ✓'))
      expect(String(copied)).toBe('..Zür')
      expect(first?.copyHeader('ce_i', copied, 0)).toBe(-1)
      expect(first?.headers()).toEqual({ ce_id: '1', ce_source: 'Zürich ✓', empty: '' })
      expect(first?.timestamp).toBeGreaterThanOrEqual(before)
      expect(first?.timestamp).toBeLessThanOrEqual(Date.now())
      expect(second).toMatchObject({ key: Buffer.alloc(0), value: Buffer.alloc(0) })
      expect(second?.headers()).toEqual({})
    })

    it('ends by itself where it is told to, however much comes later', async () => {
      await using log = await subject.open()
      const topic = await newTopic(log, 1)
      await log.append(['a', 'b', 'c'].map((value) => record(topic, 0, value)))
      await using reader = log.reader()
      const upTo = async (until: number): Promise<number[]> => {
        const found: number[] = []
        for await (const { records } of reader.read(topic, 0, 1, new AbortController().signal, until)) {
          found.push(...records.map(({ offset }) => offset).filter((offset) => offset < until))
        }
        return found
      }
      expect([await upTo(1), await upTo(2), await upTo(3)]).toEqual([[], [1], [1, 2]])
    })

    it('are copied as they are, whatever they hold', async () => {
      await using log = await subject.open()
      const topic = await newTopic(log, 2)
      const headers = [['ce_id', '1'] as const, ['twice', 'a'] as const, ['twice', '\u{1F600}'] as const]
      const large = Buffer.alloc(20_000, 'x')
      await log.append([
        { topic, partition: 0, key: Buffer.from('k'), value: large, headers },
        { topic, partition: 0, key: large, value: Buffer.alloc(0), headers: [] },
      ])
      const originals = await readAll(log, topic, 0, 0)
      await log.append(originals.map((original) => ({ topic, partition: 1, body: original.body() })))
      const copies = await readAll(log, topic, 1, 0)
      expect(copies.map((copy) => copy.body())).toEqual(originals.map((original) => original.body()))
      expect(copies[0]).toMatchObject({ key: Buffer.from('k'), value: large })
      expect(copies[0]!.headers()).toEqual({ ce_id: '1', twice: 'a' })
      expect(copies[1]).toMatchObject({ key: large, value: Buffer.alloc(0) })
    })

    it('are found by when they were appended', async () => {
      await using log = await subject.open()
      const topic = await newTopic(log, 2)
      await log.append([record(topic, 0, 'one')])
      const [first] = await readAll(log, topic, 0, 0)
      while (Date.now() <= first!.timestamp) await new Promise((resolve) => setTimeout(resolve, 1))
      await log.append([record(topic, 0, 'two')])
      const at = async (time: number) => (await log.offsetsAt(topic, time)).map(({ offset }) => offset)
      expect(await at(0)).toEqual([0, 0])
      expect(await at(first!.timestamp)).toEqual([0, 0])
      expect(await at(first!.timestamp + 1)).toEqual([1, 0])
      expect(await at(Date.now() + 60_000)).toEqual([2, 0])
      await expect(log.offsetsAt(uniqueName(), 0)).rejects.toMatchObject({ code: 'topic_unknown' })
    })

    it('begins at the offset asked for, within what was appended together', async () => {
      await using log = await subject.open()
      const topic = await newTopic(log, 1)
      await log.append(Array.from({ length: 10 }, (_, i) => record(topic, 0, `${i}`)))
      const records = await readAll(log, topic, 0, 7)
      expect(records.map(({ offset, value }) => [offset, String(value)])).toEqual([
        [7, '7'],
        [8, '8'],
        [9, '9'],
      ])
    })

    it('waits at the end for what comes, and says how far the log reaches', async () => {
      await using log = await subject.open()
      await using reader = log.reader()
      const topic = await newTopic(log, 1)
      await log.append([record(topic, 0, 'old')])
      const stop = new AbortController()
      const batches = reader.read(topic, 0, 1, stop.signal)[Symbol.asyncIterator]()
      const next = batches.next()
      await log.append([record(topic, 0, 'new')])
      const { value: batch } = await next
      expect(batch).toMatchObject({ topic, partition: 0, highWatermark: 2 })
      expect(batch.records.map((each: WholeRecord) => String(each.value))).toEqual(['new'])
      stop.abort()
      expect(await batches.next()).toEqual({ done: true, value: undefined })
    })

    it('ends without an error when it is aborted, before and while it waits', async () => {
      await using log = await subject.open()
      await using reader = log.reader()
      const topic = await newTopic(log, 1)
      expect(await collect(reader, topic, 0, 0, AbortSignal.abort())).toEqual([])

      const stop = new AbortController()
      const waiting = collect(reader, topic, 0, 0, stop.signal)
      await log.append([record(topic, 0, 'seen')])
      await until('it is read', () => waiting.records.length === 1)
      stop.abort()
      expect(await waiting).toHaveLength(1)
    })

    it('can be left and taken up again by the same reader', async () => {
      await using log = await subject.open()
      await using reader = log.reader()
      const topic = await newTopic(log, 1)
      await log.append([record(topic, 0, 'a')])
      for (let time = 0; time < 2; time++) {
        for await (const batch of reader.read(topic, 0, 0, new AbortController().signal)) {
          expect(String(batch.records[0]?.value)).toBe('a')
          break
        }
      }
    })

    it('refuses a second read of the same partition at the same time', async () => {
      await using log = await subject.open()
      await using reader = log.reader()
      const topic = await newTopic(log, 1)
      const stop = new AbortController()
      const first = collect(reader, topic, 0, 0, stop.signal)
      await expect(collect(reader, topic, 0, 0, stop.signal)).rejects.toMatchObject({
        code: 'already_reading',
      })
      stop.abort()
      await first
    })

    it('says so when the log has no such offset: past its end', async () => {
      await using log = await subject.open()
      const topic = await newTopic(log, 2)
      await log.append([record(topic, 1, 'a')])
      await expect(readAll(log, topic, 1, 5)).rejects.toMatchObject({
        code: 'offset_out_of_range',
        retriable: false,
        facts: { topic, partition: 1, from: 5, start: 0, end: 1 },
      })
    })

    it('says so when the log has no such offset: its beginning was deleted', async () => {
      await using log = await subject.open()
      const topic = await newTopic(log, 1)
      await log.append(['a', 'b', 'c'].map((value) => record(topic, 0, value)))
      await subject.trim(topic, 0, 2)
      expect(await log.bounds(topic)).toEqual([{ partition: 0, start: 2, end: 3 }])
      await expect(readAll(log, topic, 0, 0)).rejects.toMatchObject({
        code: 'offset_out_of_range',
        facts: { topic, partition: 0, from: 0, start: 2, end: 3 },
      })
      expect((await readAll(log, topic, 0, 2)).map(({ value }) => String(value))).toEqual(['c'])
    })

    it('notices that a topic was made again behind its back', async () => {
      await using log = await subject.open()
      await using reader = log.reader()
      const topic = await newTopic(log, 1)
      await log.append(['a', 'b', 'c'].map((value) => record(topic, 0, value)))
      const reading = collect(reader, topic, 0, 0, new AbortController().signal)
      await until('all are read', () => reading.records.length === 3)
      await subject.recreate(topic, 1)
      const noticed = await reading.catch((error: unknown) => error)
      if (subject.isGoneBetween && Object(noticed).code === 'topic_unknown') return
      expect(noticed).toMatchObject({ code: 'offset_out_of_range', facts: { from: 3, end: 0 } })
    })

    it('of a topic that does not exist throws', async () => {
      await using log = await subject.open()
      await expect(readAll(log, uniqueName(), 0)).rejects.toMatchObject({ code: 'topic_unknown' })
    })

    it('of many partitions by one reader holds up none of them', async () => {
      await using log = await subject.open()
      await using reader = log.reader()
      const topic = await newTopic(log, 4)
      const stop = new AbortController()
      const reads = [0, 1, 2, 3].map((partition) => collect(reader, topic, partition, 0, stop.signal))
      for (let round = 0; round < 3; round++) {
        await log.append([0, 1, 2, 3].map((partition) => record(topic, partition, `${round}`)))
        await until('each is read', () => reads.every((read) => read.records.length === round + 1))
      }
      stop.abort()
      for (const records of await Promise.all(reads)) {
        expect(records.map(({ value }) => String(value))).toEqual(['0', '1', '2'])
      }
    })

    it('goes on in order through more than its buffers hold, beside a reader that takes nothing', async () => {
      await using log = await subject.open()
      await using stalled = log.reader({ maxBufferedBytes: 20_000 })
      await using reader = log.reader({ maxBufferedBytes: 20_000 })
      const topic = await newTopic(log, 1)
      for (let call = 0; call < 20; call++) {
        const values = Array.from({ length: 50 }, (_, i) => `${call * 50 + i}`.padEnd(500))
        await log.append(values.map((value) => record(topic, 0, value)))
      }
      const stop = new AbortController()
      const untouched = stalled.read(topic, 0, 0, stop.signal)[Symbol.asyncIterator]()
      await untouched.next()
      const reading = collect(reader, topic, 0, 0, stop.signal)
      await until('all are read', () => reading.records.length === 1_000)
      expect(reading.records.map(({ value }) => Number(value))).toEqual([...Array(1_000).keys()])
      expect(reading.records.map(({ offset }) => offset)).toEqual([...Array(1_000).keys()])
      stop.abort()
      await reading
    })

    it('ends with an error when the log is closed under it', async () => {
      const log = await subject.open()
      const topic = await newTopic(log, 1)
      const reading = collect(log.reader(), topic, 0, 0, new AbortController().signal)
      await log.append([record(topic, 0, 'a')])
      await until('it is read', () => reading.records.length === 1)
      await log[Symbol.asyncDispose]()
      await expect(reading).rejects.toMatchObject({ code: 'log_closed' })
    })
  })

  describe(`${name}: where a group stands`, () => {
    it('is seen by others as it was last mirrored, partition by partition', async () => {
      await using log = await subject.open()
      const topic = await newTopic(log, 3)
      await log.append([record(topic, 0, 'a'), record(topic, 0, 'b'), record(topic, 1, 'c')])
      const group = `${topic}.saga.enrollment`
      await mirrored(log, group, [
        { topic, partition: 0, offset: 1 },
        { topic, partition: 1, offset: 0 },
      ])
      await mirrored(log, group, [{ topic, partition: 0, offset: 2 }])
      await mirrored(log, group, [])
      expect(new Map(await subject.groupOffsets(group, topic))).toEqual(
        new Map([
          [0, 2],
          [1, 0],
        ]),
      )
    })

    it('can be that of several topics at once, and goes back where it is told to', async () => {
      await using log = await subject.open()
      const topics = [await newTopic(log, 1), await newTopic(log, 1)]
      const group = uniqueName()
      for (const offset of [7, 3]) {
        await mirrored(
          log,
          group,
          topics.map((topic) => ({ topic, partition: 0, offset })),
        )
      }
      for (const topic of topics) {
        expect([...(await subject.groupOffsets(group, topic))]).toEqual([[0, 3]])
      }
    })
  })

  it(`${name}: ping resolves while the log is there`, async () => {
    const log = await subject.open()
    await log.ping()
    await log[Symbol.asyncDispose]()
    await expect(log.ping()).rejects.toMatchObject({ code: 'log_closed' })
  })
}

/** Of a client of Kafka, where the machine may stand still: its timers run before it reads what has come. */
export const patience = { connectTimeoutMs: 60_000, requestTimeoutMs: 120_000, deliveryTimeoutMs: 200_000 }

export const uniqueName = (): string => `log-${crypto.randomUUID()}`

export const newTopic = async (log: Log, partitions: number): Promise<string> => {
  const topic = uniqueName()
  await log.ensureTopics([spec(topic, partitions)])
  return topic
}

export const record = (topic: string, partition: number, value: string): AppendRecord => ({
  topic,
  partition,
  key: Buffer.from(`key of ${value}`),
  value: Buffer.from(value),
  headers: [['ce_id', value]],
})

/** Everything that is in the partition now, from an offset on. */
export const readAll = async (
  log: Log,
  topic: string,
  partition: number,
  from = 0,
): Promise<WholeRecord[]> => {
  await using reader = log.reader()
  const records: WholeRecord[] = []
  for await (const batch of reader.read(topic, partition, from, new AbortController().signal)) {
    records.push(...batch.records)
    if ((batch.records.at(-1)?.offset ?? 0) + 1 >= batch.highWatermark) break
  }
  return records
}

/** Reads on until the signal aborts; what has come so far can be looked at meanwhile. */
export const collect = (
  reader: LogReader,
  topic: string,
  partition: number,
  from: number,
  signal: AbortSignal,
): Promise<WholeRecord[]> & { readonly records: readonly WholeRecord[] } => {
  const records: WholeRecord[] = []
  const reading = (async () => {
    for await (const batch of reader.read(topic, partition, from, signal)) {
      expect(batch.records.length).toBeGreaterThan(0)
      records.push(...batch.records)
    }
    return records
  })()
  reading.catch(() => undefined)
  return Object.assign(reading, { records })
}

export const isFailure = (outcome: Appended | LogFailure): outcome is LogFailure => 'failed' in outcome

/** As whoever mirrors does it: a broker that has just been started may have no coordinator yet. */
const mirrored = (log: Log, ...offsets: Parameters<Log['mirrorOffsets']>): Promise<void> =>
  until('it is mirrored', async () => {
    try {
      await log.mirrorOffsets(...offsets)
      return true
    } catch (error) {
      if (!isRetriable(error)) throw error
      return false
    }
  })

const spec = (topic: string, partitions: number) => ({ topic, partitions, replication: 1, settings: {} })
