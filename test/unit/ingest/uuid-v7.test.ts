import { describe, expect, it } from 'vitest'
import { uuidV7 } from '../../../src/ingest/uuid-v7.ts'

describe('ids of version 7', () => {
  const from = (times: number[]) =>
    uuidV7({ nowMs: () => times.shift() ?? 0, fill: (bytes) => bytes.fill(0xff) })

  it('begin with the time and say their version', () => {
    expect(from([0x0123456789ab])()).toBe('01234567-89ab-77ff-bfff-ffffffffffff')
  })

  it('only go up, within a millisecond and when the clock steps back', () => {
    const next = from([1_000, 1_000, 999, 5, ...Array(10_000).fill(1_000)])
    const ids = Array.from({ length: 10_000 }, next)
    expect(ids.toSorted()).toEqual(ids)
    expect(new Set(ids).size).toBe(ids.length)
  })

  it('have the form that the standard asks for', () => {
    const next = uuidV7()
    for (let n = 0; n < 1_000; n++)
      expect(next()).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  })
})
