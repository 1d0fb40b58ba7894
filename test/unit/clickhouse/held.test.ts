import { describe, expect, it } from 'vitest'
import { Held } from '../../../src/projection/clickhouse/held.ts'

describe('what a look has found', () => {
  it('is asked in the order of offsets', () => {
    const held = new Held([
      [3, 5],
      [7, 7],
      [10, 12],
    ])
    const found = Array.from({ length: 15 }, (_, offset) => offset).filter((offset) => held.has(offset))
    expect(found).toEqual([3, 4, 5, 7, 10, 11, 12])
  })
})
