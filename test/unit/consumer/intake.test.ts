import { describe, expect, it } from 'vitest'
import type { DistinctBatch } from '../../../src/consumer/distinct.ts'
import { intake } from '../../../src/consumer/intake.ts'
import { Turns } from '../../../src/consumer/turns.ts'
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

const sizes = ({ batches: taken }: { readonly batches: readonly DistinctBatch[] }): number[] =>
  taken.map(({ records }) => records.length)

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
const turns = new Turns(1)
const never = new AbortController().signal

describe('intake', () => {
  it('takes as one batch what came in during the work', async () => {
    const { give, batches } = source()
    const taking = intake(batches, { maxRecords: 100, turns }, never)
    give(batch(0, 1))
    expect(sizes((await taking.next()).value!)).toEqual([1])
    give(batch(1, 10), batch(11, 20), batch(31, 5))
    await settled()
    expect(sizes((await taking.next()).value!)).toEqual([10, 20, 5])
  })

  it('waits for what the log is known to have, up to what it may take', async () => {
    const { give, batches } = source()
    const taking = intake(batches, { maxRecords: 50, turns }, never)
    const next = taking.next()
    give(batch(0, 10, 60))
    await settled()
    give(batch(10, 10, 60), batch(20, 40, 70))
    expect(sizes((await next).value!)).toEqual([10, 10])
    give(batch(60, 10, 70))
    expect(sizes((await taking.next()).value!)).toEqual([40, 10])
  })

  it('takes no more at once than it may, but one batch whatever its size', async () => {
    const { give, batches } = source()
    give(batch(0, 30), batch(30, 30), batch(60, 200), batch(260, 1))
    const taking = intake(batches, { maxRecords: 50, turns }, never)
    const taken: number[][] = []
    for (let n = 0; n < 4; n++) taken.push(sizes((await taking.next()).value!))
    expect(taken).toEqual([[30], [30], [200], [1]])
  })

  it('stops fetching while enough waits', async () => {
    const { give, state, batches } = source()
    give(...Array.from({ length: 20 }, (_, n) => batch(n * 10, 10)))
    const taking = intake(batches, { maxRecords: 30, turns }, never)
    await taking.next()
    for (let n = 0; n < 10; n++) await settled()
    expect(state.asked).toBeLessThanOrEqual(5)
    await taking.return()
  })

  it('gives out what was fetched before it passes a failure on', async () => {
    const { give, end, batches } = source()
    give(batch(0, 2))
    end(new Error('lost'))
    const taking = intake(batches, { maxRecords: 10, turns }, never)
    expect(sizes((await taking.next()).value!)).toEqual([2])
    await expect(taking.next()).rejects.toThrow('lost')
  })

  it('ends when it is told to, though nothing comes', async () => {
    const { batches } = source()
    const stop = new AbortController()
    const next = intake(batches, { maxRecords: 10, turns }, stop.signal).next()
    await settled()
    stop.abort()
    expect(await next).toMatchObject({ done: true })
  })

  it('ends with the batches', async () => {
    const { give, end, batches } = source()
    give(batch(0, 1))
    end()
    expect((await Array.fromAsync(intake(batches, { maxRecords: 10, turns }, never))).map(sizes)).toEqual([
      [1],
    ])
  })

  it('does not wait for ever for offsets that hold no records', async () => {
    const { give, batches } = source()
    const taking = intake(batches, { maxRecords: 50, turns }, never)
    give(batch(0, 5, 6))
    expect(sizes((await taking.next()).value!)).toEqual([5])
  })

  it('takes three times as much where it is further behind than that, when its turn has come', async () => {
    const one = source()
    const other = source()
    const some = new Turns(1)
    const takingOne = intake(one.batches, { maxRecords: 10, turns: some }, never)
    const takingOther = intake(other.batches, { maxRecords: 10, turns: some }, never)
    for (const { give } of [one, other]) give(...Array.from({ length: 20 }, (_, n) => batch(n * 8, 8, 160)))

    const first = (await takingOne.next()).value!
    expect(sizes(first)).toEqual([8, 8, 8])
    const waiting = takingOther.next()
    for (let n = 0; n < 10; n++) await settled()
    const again = takingOne.next()
    for (let n = 0; n < 10; n++) await settled()
    // Only what told them how far behind they are.
    expect([one.state.asked, other.state.asked]).toEqual([4, 1])

    first.done()
    first.done()
    const second = (await waiting).value!
    expect(sizes(second)).toEqual([8, 8, 8])
    second.done()
    expect(sizes((await again).value!)).toEqual([8, 8, 8])
    await takingOne.return()
    expect(sizes((await takingOther.next()).value!)).toEqual([8, 8, 8])
    await takingOther.return()
  })

  it('needs no turn near the end, and gives up waiting for one when it is told to', async () => {
    const behind = source()
    const near = source()
    const none = new Turns(0)
    const stop = new AbortController()
    behind.give(batch(0, 5, 1_000))
    near.give(batch(0, 5, 15), batch(5, 10))
    const waiting = intake(behind.batches, { maxRecords: 10, turns: none }, stop.signal).next()
    expect(sizes((await intake(near.batches, { maxRecords: 10, turns: none }, never).next()).value!)).toEqual(
      [5],
    )
    stop.abort()
    expect(await waiting).toMatchObject({ done: true })
  })
})
