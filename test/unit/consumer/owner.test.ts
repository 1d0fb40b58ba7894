import { describe, expect, it } from 'vitest'
import { ownerOf } from '../../../src/consumer/membership.ts'

const items = Array.from({ length: 600 }, (_, n) => `lead_profile/embudo.leads/${n}`)
const owners = (workers: readonly string[]) => items.map((item) => ownerOf(workers, item))

describe('the owner of a partition', () => {
  it('is one of the live processes, the same for all, in whatever order they are listed', () => {
    expect(owners(['a', 'b', 'c'])).toEqual(owners(['c', 'a', 'b']))
    expect(new Set(owners(['a', 'b', 'c']))).toEqual(new Set(['a', 'b', 'c']))
  })

  it('is nobody where nobody lives', () => {
    expect(ownerOf([], 'x')).toBeUndefined()
  })

  it('changes only for the share of the one that comes or goes', () => {
    const three = owners(['a', 'b', 'c'])
    const two = owners(['a', 'b'])
    expect(three.every((owner, index) => owner === 'c' || owner === two[index])).toBe(true)
  })

  it('spreads evenly enough', () => {
    const share = owners(['a', 'b', 'c']).filter((owner) => owner === 'a').length
    expect(share).toBeGreaterThan(150)
    expect(share).toBeLessThan(250)
  })
})
