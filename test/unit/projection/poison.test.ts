import { describe, expect, it } from 'vitest'
import { PoisonShare } from '../../../src/dead-letter/poison-share.ts'
import { findRefused } from '../../../src/projection/postgres/poison.ts'
import type { Read } from '../../../src/projection/postgres/read-events.ts'

const events = (count: number): Read[] =>
  Array.from({ length: count }, (_, offset) => ({ record: { offset } }) as unknown as Read)

/** Refuses whatever has one of these that was not found before. */
const refusing = (isRefused: (offset: number) => boolean) => {
  const tried = { times: 0 }
  const write = async (some: readonly Read[], found: ReadonlyMap<number, unknown>): Promise<void> => {
    tried.times++
    if (some.some(({ record: { offset } }) => isRefused(offset) && !found.has(offset)))
      throw Object.assign(new Error('violates check constraint'), { code: '23514' })
  }
  return { write, tried }
}

const nobody = new AbortController().signal

describe('the events that Postgres refuses', () => {
  it.each([
    { refused: [0] },
    { refused: [499] },
    { refused: [3, 4, 5, 250, 498] },
    { refused: [...Array(500).keys()] },
    { refused: [] },
  ])('are found, and no others: $refused', async ({ refused }) => {
    const { write } = refusing((offset) => refused.includes(offset))
    const steps: number[] = []
    const onFound = (count: number) => void steps.push(count)
    const found = await findRefused(events(500), { write, onFound, signal: nobody })
    expect([...found.keys()]).toEqual(refused)
    expect(steps.reduce((sum, step) => sum + step, 0)).toBe((refused.at(-1) ?? -1) + 1)
  })

  it('are looked for no longer where nearly all are', async () => {
    const { write, tried } = refusing((offset) => offset % 2 === 0)
    const share = new PoisonShare('wrong', 0.1)
    const finding = findRefused(events(30_000), {
      write,
      onFound: (count) => share.note(count, 1),
      signal: nobody,
    })
    await expect(finding).rejects.toMatchObject({ code: 'too_many_poisoned' })
    expect(tried.times).toBeLessThan(500)
  })

  it('are looked for no longer once that is asked for', async () => {
    const stopping = new AbortController()
    const { write, tried } = refusing(() => true)
    const finding = findRefused(events(30_000), {
      write: (some, found) => {
        if (tried.times === 20) stopping.abort()
        return write(some, found)
      },
      onFound: () => {},
      signal: stopping.signal,
    })
    await expect(finding).rejects.toMatchObject({ name: 'AbortError' })
    expect(tried.times).toBe(21)
  })
})
