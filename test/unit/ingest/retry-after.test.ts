import { describe, expect, it } from 'vitest'
import { ReleaseRate, retryAfterSeconds } from '../../../src/ingest/retry-after.ts'

describe('when to try again', () => {
  it.each([
    ['nothing is known', 1_000_000, undefined, 1],
    ['it is gone in a moment', 10, 1_000, 1],
    ['it takes a while', 5_500, 1_000, 6],
    ['it takes for ever', 1e12, 1_000, 30],
    ['nothing leaves', 10, 0, 30],
  ])('%s', (_what, ahead, perSecond, seconds) => {
    expect(retryAfterSeconds(ahead, perSecond)).toBe(seconds)
  })
})

describe('the rate at which bytes leave', () => {
  it('is not known before it has been measured', () => {
    const rate = new ReleaseRate()
    rate.add(1_000_000)
    expect(rate.perSecond(0)).toBeUndefined()
    expect(rate.perSecond(499)).toBeUndefined()
  })

  it('is measured between two looks, and follows a change by halves', () => {
    const rate = new ReleaseRate()
    rate.perSecond(0)
    rate.add(2_000)
    expect(rate.perSecond(1_000)).toBe(2_000)
    expect(rate.perSecond(2_000)).toBe(1_000)
    expect(rate.perSecond(3_000)).toBe(500)
  })

  it('forgets what was long ago', () => {
    const rate = new ReleaseRate()
    rate.perSecond(0)
    rate.add(2_000)
    rate.perSecond(1_000)
    expect(rate.perSecond(60_000)).toBeUndefined()
  })
})
