import { describe, expect, it } from 'vitest'
import type { Verified } from '../../../src/projection/generations.ts'
import { isNear, progressOf, rateOf } from '../../../src/projection/progress.ts'

const now = 1_000_000
const building = {
  ...{ target: 1_000, paused: false, error: null, verified: null, asOfMs: now },
  samples: [
    [now - 30_000, 0],
    [now - 10_000, 100],
    [now - 5_000, 300],
  ] as const,
}
const at = (nextOffset: number, lag: number, hasFailed = false) => [
  { nextOffset, passed: nextOffset, lag, hasFailed },
]
const found = (differences: number, otherVersion = 1): Verified => ({
  ...{ at: '2026-11-20T10:00:00.000Z', rows: 9, differences, examples: [] },
  live: { generation: 1, version: 1 },
  other: { generation: 2, version: otherVersion },
})

describe('how far a rebuild is', () => {
  it('is told by what was there when it was begun, and by what was done in the last seconds', () => {
    expect(progressOf(building, at(400, 600))).toEqual({
      ...{ state: 'replaying', percent: 40, eventsPerSecond: 30, etaSeconds: 20 },
    })
  })

  it.each([
    ['replaying', {}, at(400, 600)],
    ['catching up', {}, at(1_000, 5_000)],
    ['caught up', {}, at(1_000, 4_999)],
    ['verified', { verified: found(0) }, at(1_000, 12)],
    ['differs', { verified: found(3) }, at(1_000, 12)],
    ['caught up', { verified: found(3, 2) }, at(1_000, 12)],
    ['paused', { paused: true }, at(400, 600)],
    ['failed', { paused: true, error: 'no table' }, at(400, 600)],
    ['failed', {}, at(400, 600, true)],
  ])('%s', (state, more, reached) => {
    expect(progressOf({ ...building, ...more }, reached).state).toBe(state)
  })

  it('says 100 when all of it is there, and not when it is rounded', () => {
    expect(progressOf({ ...building, target: 1_000_000 }, at(999_999, 1)).percent).toBe(99.9)
    expect(progressOf({ ...building, target: 0 }, at(0, 0))).toMatchObject({ percent: 100, etaSeconds: 0 })
  })

  it('promises no end while nothing moves', () => {
    expect(progressOf({ ...building, paused: true }, at(400, 600))).toMatchObject({
      eventsPerSecond: 0,
      etaSeconds: null,
    })
  })
})

describe('the rate', () => {
  it('forgets what was before a pause or a restart', () => {
    expect(rateOf([[now - 60_000, 0]], 5_000, now)).toBe(0)
    expect(
      rateOf(
        [
          [now - 60_000, 0],
          [now - 2_000, 4_000],
        ],
        5_000,
        now,
      ),
    ).toBe(500)
  })

  it('says nothing of a moment', () => {
    expect(rateOf([[now - 100, 0]], 5_000, now)).toBe(0)
    expect(rateOf([], 5_000, now)).toBe(0)
  })
})

describe('whether it can be compared and switched to', () => {
  const bounds = new Map([
    [
      'leads',
      [
        { partition: 0, start: 0, end: 10_000 },
        { partition: 1, start: 0, end: 10 },
      ],
    ],
  ])
  const positions = (first: number, second: number) => [
    { topic: 'leads', partition: 0, nextOffset: first },
    { topic: 'leads', partition: 1, nextOffset: second },
  ]

  it('needs what was there when it was begun, and little missing in each partition', () => {
    expect(isNear(9_000, positions(9_500, 10), bounds)).toBe(true)
    expect(isNear(9_511, positions(9_500, 10), bounds)).toBe(false)
    expect(isNear(0, positions(5_000, 10), bounds)).toBe(false)
    expect(isNear(0, positions(9_999, 10).slice(0, 1), bounds)).toBe(false)
  })
})
