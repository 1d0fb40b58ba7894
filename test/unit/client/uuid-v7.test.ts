import { expect, it } from 'vitest'
import { uuidV7 } from '../../../src/client/uuid-v7.ts'

it('makes ids that say when and only go up, also in one millisecond and when the clock steps back', () => {
  const begun = Date.parse('2026-11-20T10:00:00Z')
  const clock = [...Array(5_000).fill(begun), begun - 60_000, begun + 60_000]
  let draws = 0
  const newId = uuidV7({
    now: () => clock.shift() ?? 0,
    randomBytes: (count) => Uint8Array.from({ length: count }, () => (draws++ * 37) % 256),
  })
  const ids = Array.from({ length: 5_002 }, newId)
  expect(ids).toEqual(ids.toSorted())
  expect(new Set(ids).size).toBe(ids.length)
  for (const id of ids)
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  expect(Number.parseInt(ids[0]?.slice(0, 13).replace('-', '') ?? '', 16)).toBe(begun)
})
