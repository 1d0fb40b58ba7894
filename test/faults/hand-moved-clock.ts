import { type LogClock, systemClock } from '../../src/log/clock.ts'

/** Deadlines of appends come when the test lets them; pauses and the timeouts of requests by themselves. */
export interface HandMovedClock extends LogClock {
  pass(ms: number): void
}

export const handMovedClock = (): HandMovedClock => {
  let nowMs = Date.now()
  return {
    ...systemClock,
    now: () => nowMs,
    pass: (ms) => {
      nowMs += ms
    },
  }
}
