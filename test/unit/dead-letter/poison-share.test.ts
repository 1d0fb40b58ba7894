import { describe, expect, it } from 'vitest'
import { PoisonShare } from '../../../src/dead-letter/poison-share.ts'

/** The number of the record at which it is too much. */
const stopsAt = (isPoisoned: (number: number) => boolean, records = 10_000): number | undefined => {
  const share = new PoisonShare()
  for (let number = 1; number <= records; number++)
    if (isPoisoned(number) && share.poisoned(number)) return number
  return undefined
}

describe('the share of poison in a partition', () => {
  it('is too much at a hundred, where there is little else', () => {
    expect(stopsAt(() => true)).toBe(100)
    expect(stopsAt((number) => number % 3 !== 0)).toBe(149)
  })

  it('is never too much up to half, however many that are', () => {
    expect(stopsAt((number) => number % 2 === 0)).toBeUndefined()
    expect(stopsAt((number) => number <= 99)).toBeUndefined()
  })

  it('is of the last thousand records: what was sound before does not hide it for long', () => {
    expect(stopsAt((number) => number > 5_000)).toBe(5_501)
    expect(stopsAt((number) => number <= 400 && number % 2 === 0)).toBeUndefined()
  })
})
