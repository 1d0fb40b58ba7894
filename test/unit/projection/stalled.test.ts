import { describe, expect, it } from 'vitest'
import { isStalled, type Movement, oldestUnappliedSeconds } from '../../../src/projection/stalled.ts'

const standing: Movement = {
  pending: 5,
  waitsForMs: 40_000,
  standsForMs: 35_000,
  isOwned: true,
  isPaused: false,
}
const stalled = (changed: Partial<Movement>) => isStalled({ ...standing, ...changed }, 30_000)

describe('a projection is stalled', () => {
  it('where something has waited, and the position has stood, for longer than it may', () => {
    expect(stalled({})).toBe(true)
  })

  it('and not where it has nothing to do', () => {
    expect(stalled({ pending: 0, waitsForMs: undefined, standsForMs: 86_400_000 })).toBe(false)
  })

  it('and not where the first event after a long silence has just come', () => {
    expect(stalled({ waitsForMs: 20, standsForMs: 86_400_000 })).toBe(false)
  })

  it('and not where it is a day behind and moves', () => {
    expect(stalled({ waitsForMs: 86_400_000, standsForMs: 900 })).toBe(false)
  })

  it('and not where somebody has paused it', () => {
    expect(stalled({ isPaused: true, isOwned: false })).toBe(false)
  })

  it('after the time of a hand-over where no live process owns it', () => {
    expect(stalled({ isOwned: false, waitsForMs: 12_000, standsForMs: 12_000 })).toBe(true)
    expect(stalled({ isOwned: false, waitsForMs: 4_000, standsForMs: 4_000 })).toBe(false)
    expect(stalled({ isOwned: false, waitsForMs: 12_000, standsForMs: undefined })).toBe(true)
  })

  it('by the position alone where the log cannot be asked', () => {
    expect(stalled({ waitsForMs: undefined })).toBe(true)
    expect(stalled({ waitsForMs: undefined, standsForMs: 1_000 })).toBe(false)
  })
})

it('the oldest event that is not applied has an age in seconds', () => {
  expect(oldestUnappliedSeconds(standing)).toBe(40)
  expect(oldestUnappliedSeconds({ ...standing, pending: 0 })).toBeNull()
  expect(oldestUnappliedSeconds({ ...standing, waitsForMs: undefined })).toBeNull()
  // Clocks of two machines differ.
  expect(oldestUnappliedSeconds({ ...standing, waitsForMs: -300 })).toBe(0)
})
