import { describe, expect, it } from 'vitest'
import type { DistinctBatch } from '../../../src/consumer/distinct.ts'
import { intake } from '../../../src/consumer/intake.ts'
import type { WholeRecord } from '../../../src/log/port.ts'

const recordAt = (offset: number) => ({ offset }) as WholeRecord

/** At the log's end, unless more is known to be there. */
const batch = (from: number, records: number, highWatermark = from + records): DistinctBatch => ({
  topic: 't',
  partition: 0,
  highWatermark,
  markers: 0,
  records: Array.from({ length: records }, (_, index) => recordAt(from + index)),
  last: recordAt(from + records - 1),
  duplicates: 0,
})

const sizes = (taken: readonly DistinctBatch[]): number[] => taken.map(({ records }) => records.length)

/** Batches that the test gives out one by one; `asked` tells how many were fetched. */
const source = () => {
  const given: DistinctBatch[] = []
  let wake = () => {}
  let ended: unknown
  const state = { asked: 0, give, end }
  function give(...batches: DistinctBatch[]) {
    given.push(...batches)
    wake()
  }
  function end(error: unknown = 'end') {
    ended = error
    wake()
  }
  async function* read(): AsyncGenerator<DistinctBatch> {
    for (;;) {
      while (given.length === 0 && ended === undefined) await new Promise<void>((resolve) => (wake = resolve))
      const next = given.shift()
      if (next === undefined) {
        if (ended instanceof Error) throw ended
        return
      }
      state.asked++
      yield next
    }
  }
  return { ...state, state, batches: read() }
}

const settled = () => new Promise((resolve) => setImmediate(resolve))
const never = new AbortController().signal

describe('intake', () => {
  it('takes as one batch what came in during the work', async () => {
    const { give, batches } = source()
    const taking = intake(batches, 100, never)
    give(batch(0, 1))
    expect(sizes((await taking.next()).value!)).toEqual([1])
    give(batch(1, 10), batch(11, 20), batch(31, 5))
    await settled()
    expect(sizes((await taking.next()).value!)).toEqual([10, 20, 5])
  })

  it('waits for what the log is known to have, up to what it may take', async () => {
    const { give, batches } = source()
    const taking = intake(batches, 50, never)
    const next = taking.next()
    give(batch(0, 10, 100))
    await settled()
    give(batch(10, 10, 100), batch(20, 40, 100))
    expect(sizes((await next).value!)).toEqual([10, 10])
    give(batch(60, 10, 70))
    expect(sizes((await taking.next()).value!)).toEqual([40, 10])
  })

  it('takes no more at once than it may, but one batch whatever its size', async () => {
    const { give, batches } = source()
    give(batch(0, 30), batch(30, 30), batch(60, 200), batch(260, 1))
    const taking = intake(batches, 50, never)
    const taken: number[][] = []
    for (let n = 0; n < 4; n++) taken.push(sizes((await taking.next()).value!))
    expect(taken).toEqual([[30], [30], [200], [1]])
  })

  it('stops fetching while enough waits', async () => {
    const { give, state, batches } = source()
    give(...Array.from({ length: 20 }, (_, n) => batch(n * 10, 10)))
    const taking = intake(batches, 30, never)
    await taking.next()
    for (let n = 0; n < 10; n++) await settled()
    expect(state.asked).toBeLessThanOrEqual(5)
    await taking.return()
  })

  it('gives out what was fetched before it passes a failure on', async () => {
    const { give, end, batches } = source()
    give(batch(0, 2))
    end(new Error('lost'))
    const taking = intake(batches, 10, never)
    expect(sizes((await taking.next()).value!)).toEqual([2])
    await expect(taking.next()).rejects.toThrow('lost')
  })

  it('ends when it is told to, though nothing comes', async () => {
    const { batches } = source()
    const stop = new AbortController()
    const next = intake(batches, 10, stop.signal).next()
    await settled()
    stop.abort()
    expect(await next).toMatchObject({ done: true })
  })

  it('ends with the batches', async () => {
    const { give, end, batches } = source()
    give(batch(0, 1))
    end()
    expect((await Array.fromAsync(intake(batches, 10, never))).map(sizes)).toEqual([[1]])
  })

  it('does not wait for ever for offsets that hold no records', async () => {
    const { give, batches } = source()
    const taking = intake(batches, 50, never)
    give(batch(0, 5, 6))
    expect(sizes((await taking.next()).value!)).toEqual([5])
  })
})
