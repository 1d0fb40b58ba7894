import { describe, expect, it } from 'vitest'
import { PoisonShare } from '../../../src/dead-letter/poison-share.ts'

/** The number of the record at which it is too much. */
const stopsAt = (
  isPoisoned: (number: number) => boolean,
  { max = 0.1, batch = 1, records = 20_000 } = {},
): number | undefined => {
  const share = new PoisonShare('lead_profile', max)
  for (let number = 1; number <= records; number += batch) {
    const poisoned = Array.from({ length: batch }, (_, index) => number + index).filter(isPoisoned).length
    try {
      share.note(batch, poisoned)
    } catch (error) {
      expect(error).toMatchObject({ code: 'too_many_poisoned', retriable: false })
      return number
    }
  }
  return undefined
}

describe('the share of poison in a partition', () => {
  it('is too much at a hundred, where there is little else', () => {
    expect(stopsAt(() => true)).toBe(100)
    expect(stopsAt(() => true, { batch: 500 })).toBe(1)
  })

  it('is never too much up to what is allowed, however many that are', () => {
    expect(stopsAt((number) => number % 11 === 0)).toBeUndefined()
    expect(stopsAt((number) => number <= 99)).toBeUndefined()
    expect(stopsAt((number) => number % 3 === 0, { max: 0.5 })).toBeUndefined()
    expect(stopsAt(() => true, { max: 1 })).toBeUndefined()
  })

  it('is of what was read last: what was sound before does not hide it for long', () => {
    const stopped = stopsAt((number) => number > 10_000)
    expect(stopped).toBeGreaterThan(10_000)
    expect(stopped).toBeLessThan(10_500)
  })
})
