import { describe, expect, it } from 'vitest'
import { murmur2, partitionFor } from '../../../src/log/partitioner.ts'

describe('the partitioner', () => {
  // From Kafka's own UtilsTest.
  it.each([
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
  ])('hashes %s as Kafka does', (key, hash) => {
    expect(murmur2(Buffer.from(key))).toBe(hash)
  })

  it('never gives a negative partition', () => {
    expect(partitionFor(Buffer.from('foobar'), 12)).toBe((-790332482 & 0x7fffffff) % 12)
    expect(partitionFor(Buffer.alloc(0), 12)).toBeGreaterThanOrEqual(0)
  })
})
