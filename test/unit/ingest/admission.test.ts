import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Admission, type Hold, verdict } from '../../../src/ingest/admission.ts'

const refusalOf = (act: () => unknown) => {
  try {
    act()
  } catch (error) {
    return error as { code: string; retriable: boolean; facts: Record<string, unknown> }
  }
  throw new Error('there was room')
}

describe('who gets room', () => {
  it.each([
    ['alone, half of the bound', { heldBytes: 0, callerBytes: 0, callers: 1 }, 500, 'room'],
    ['alone, more than half', { heldBytes: 0, callerBytes: 0, callers: 1 }, 501, 'over its share'],
    ['one that comes anew beside it', { heldBytes: 500, callerBytes: 0, callers: 2 }, 250, 'room'],
    [
      'the one that holds half already',
      { heldBytes: 500, callerBytes: 500, callers: 1 },
      1,
      'over its share',
    ],
    [
      'one within its share, others have the rest',
      { heldBytes: 900, callerBytes: 0, callers: 3 },
      60,
      'full',
    ],
    ['something small, others have the rest', { heldBytes: 900, callerBytes: 0, callers: 3 }, 50, 'room'],
  ] as const)('%s', (_what, held, bytes, expected) => {
    expect(verdict({ maxBytes: 1000, ...held }, bytes)).toBe(expected)
  })
})

describe('admission', () => {
  it('lets n greedy callers hold equal shares, and leaves as much for the next', () => {
    for (const n of [1, 2, 3, 7]) {
      const admission = new Admission({ maxBytes: 100_000 })
      const held = Array.from({ length: n }, () => 0)
      // In turns, until nobody gets any more.
      for (let took = true; took; ) {
        took = false
        for (const [at] of held.entries()) {
          try {
            admission.admit(`caller ${at}`, 10)
            held[at]! += 10
            took = true
          } catch {}
        }
      }
      for (const bytes of held) expect(Math.abs(bytes - 100_000 / (n + 1))).toBeLessThanOrEqual(20)
    }
  })

  it('one that takes all it gets keeps nobody else out', () => {
    const admission = new Admission({ maxBytes: 100_000 })
    for (const greedy of ['a', 'b', 'c', 'd']) {
      for (let taken = true; taken; ) {
        try {
          admission.admit(greedy, 100)
        } catch {
          taken = false
        }
      }
    }
    expect(() => admission.admit('somebody else', 500)).not.toThrow()
  })

  it('tells the one that is too fast from a server that is full', () => {
    const admission = new Admission({ maxBytes: 1000 })
    admission.admit('a', 500)
    expect(refusalOf(() => admission.admit('a', 1))).toMatchObject({
      code: 'too_many_requests',
      retriable: true,
    })
    admission.admit('b', 250)
    admission.admit('c', 125)
    expect(refusalOf(() => admission.admit('d', 100))).toMatchObject({ code: 'server_busy', retriable: true })
  })

  it('refuses for good what would never get room', () => {
    const admission = new Admission({ maxBytes: 1000 })
    expect(refusalOf(() => admission.admit('a', 501))).toMatchObject({
      code: 'body_too_large',
      retriable: false,
    })
    const hold = admission.admit('a', 400)
    expect(refusalOf(() => hold.grow(101))).toMatchObject({ code: 'body_too_large' })
    // What it holds beside is given back some time.
    admission.admit('a', 60)
    expect(refusalOf(() => hold.grow(99))).toMatchObject({ code: 'too_many_requests' })
  })

  it('says when to try again by the rate at which bytes have left', () => {
    let nowMs = 0
    const admission = new Admission({ maxBytes: 20_000, nowMs: () => nowMs })
    const first = admission.admit('a', 10_000)
    expect(refusalOf(() => admission.admit('a', 1000)).facts.retryAfterSeconds).toBe(1)
    nowMs += 1000
    first.shrink(1000)
    // 1,000 bytes a second have left, 9,000 are there, and 2,000 want in.
    expect(refusalOf(() => admission.admit('a', 2000)).facts.retryAfterSeconds).toBe(11)
    nowMs += 4000
    expect(admission.retryAfterSeconds()).toBe(18)
  })

  it('a stream waits for room, and gets it when others give back', async () => {
    const admission = new Admission({ maxBytes: 1000 })
    const stream = admission.admit('a', 100)
    const other = admission.admit('b', 400)
    stream.add(300)
    expect(stream.isOver).toBe(true)
    const room = stream.room(60_000)
    other.shrink(300)
    expect(await room).toBe(true)
    expect(stream.isOver).toBe(false)
  })

  it('a stream that waits too long hears it', async () => {
    const admission = new Admission({ maxBytes: 1000 })
    const stream = admission.admit('a', 100)
    stream.add(500)
    expect(await stream.room(1)).toBe(false)
  })

  it('whatever happens, holds nothing when all is over, and never more than the bound of what it admitted', () => {
    const step = fc.record({
      caller: fc.constantFrom('a', 'b', 'c'),
      act: fc.constantFrom('admit', 'grow', 'shrink', 'release', 'beside'),
      bytes: fc.nat(600),
      which: fc.nat(20),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const admission = new Admission({ maxBytes: 1000 })
        const holds: Hold[] = []
        let unconditional = 0
        for (const { caller, act, bytes, which } of steps) {
          const hold = holds[which % Math.max(1, holds.length)]
          try {
            if (act === 'admit') holds.push(admission.admit(caller, bytes))
            else if (act === 'grow') hold?.grow(bytes)
            else if (act === 'shrink') hold?.shrink(bytes)
            else if (act === 'release') hold?.release()
            else if (hold !== undefined) {
              holds.push(hold.beside(bytes))
              unconditional += bytes
            }
          } catch {}
          expect(admission.heldBytes).toBeGreaterThanOrEqual(0)
          expect(admission.heldBytes).toBeLessThanOrEqual(1000 + unconditional)
        }
        for (const hold of holds) hold.release()
        for (const hold of holds) hold.release()
        expect(admission.heldBytes).toBe(0)
        expect(admission.callers).toBe(0)
      }),
    )
  })
})
