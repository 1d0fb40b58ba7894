import { expect, it } from 'vitest'
import { durationMs } from '../../../src/define/duration.ts'

it.each([
  ['250 ms', 250],
  ['1 second', 1_000],
  ['30 seconds', 30_000],
  ['30 minutes', 1_800_000],
  ['1 hour', 3_600_000],
  ['1.5 days', 129_600_000],
] as const)('%s is %d ms', (duration, ms) => {
  expect(durationMs(duration)).toBe(ms)
})
