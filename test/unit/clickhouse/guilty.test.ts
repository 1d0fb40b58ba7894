import { describe, expect, it } from 'vitest'
import { guiltyOf } from '../../../src/projection/clickhouse/guilty.ts'

const items = (count: number) => Array.from({ length: count }, (_, index) => index)

/** Counts what it is asked. */
const judge = (refuses: (some: readonly number[], asked: number) => boolean) => {
  const asked: number[] = []
  const refusalOf = async (some: readonly number[]) => {
    asked.push(some.length)
    return refuses(some, asked.length) ? 'refused' : undefined
  }
  return { asked, refusalOf }
}

const found = async (count: number, refuses: Parameters<typeof judge>[0]) => [
  ...(await guiltyOf(items(count), judge(refuses).refusalOf)).keys(),
]

describe('who is guilty of a refusal', () => {
  it('is found by halving', async () => {
    const { asked, refusalOf } = judge((some) => some.includes(40_000) || some.includes(7))
    expect([...(await guiltyOf(items(100_000), refusalOf))]).toEqual([
      [7, 'refused'],
      [40_000, 'refused'],
    ])
    expect(asked.length).toBeLessThan(80)
  })

  it.each([
    ['of one', 1],
    ['of many', 100],
  ])('may be all %s, where nothing at all would pass', async (_, count) => {
    expect(await found(count, (some) => some.length > 0)).toEqual(items(count))
  })

  it('is nobody where all pass', async () => {
    expect(await found(10, () => false)).toEqual([])
    expect(await found(10, (_some, asked) => asked === 1)).toEqual([])
  })

  it('is nobody where each alone passes, as where large bodies are cut on their way', async () => {
    expect(await found(100, (some) => some.length > 1)).toEqual([])
  })

  it('is nobody where even nothing is refused, as where a table is other than it should be', async () => {
    expect(await found(100, () => true)).toEqual([])
  })

  it('is nobody where what had passed does not pass together', async () => {
    expect(await found(100, (some) => some.includes(3) || some.length > 60)).toEqual([])
  })

  it('is nobody who is taken at another time', async () => {
    const refusedOnce = new Set<number>()
    const { refusalOf } = judge((some) => {
      if (some.length !== 1 || some[0] !== 3)
        return some.includes(5) || (some.includes(3) && some.length > 50)
      const isFirst = !refusedOnce.has(3)
      refusedOnce.add(3)
      return isFirst
    })
    expect([...(await guiltyOf([3, 5], refusalOf)).keys()]).toEqual([5])
  })

  it('is told in parts where it is too many to ask about at once', async () => {
    const { asked, refusalOf } = judge((some) => some.some((item) => item % 2 === 1))
    const guilty = await guiltyOf(items(10_000), refusalOf)
    expect(guilty.size).toBeGreaterThan(100)
    expect([...guilty.keys()].every((item) => item % 2 === 1)).toBe(true)
    expect(asked.length).toBeLessThan(1_000)
  })

  it('is not told where it cannot be asked', async () => {
    const away = async () => Promise.reject(new Error('away'))
    await expect(guiltyOf(items(2), away)).rejects.toThrow('away')
  })
})
