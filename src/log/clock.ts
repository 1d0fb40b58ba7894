/** How the log tells time and waits, so that a simulator can own both. */
export interface LogClock {
  /** Milliseconds since the epoch. */
  now(): number
  /** Runs once after a delay; what it returns calls it off. */
  after(delayMs: number, run: () => void): () => void
  /** Runs once what has already arrived is dealt with. */
  soon(run: () => void): void
}

export const systemClock: LogClock = {
  now: () => Date.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs)
    return () => clearTimeout(timer)
  },
  soon(run) {
    setImmediate(run)
  },
}

export const pauseOn =
  (clock: LogClock) =>
  (milliseconds: number): Promise<void> =>
    new Promise((resolve) => {
      clock.after(milliseconds, resolve)
    })

/** What a component writes down for people; pino's shape. */
export interface LogNotes {
  debug(facts: object, message: string): void
  warn(facts: object, message: string): void
}

export const noNotes: LogNotes = { debug() {}, warn() {} }

/** Doubling from 50 ms to 1 s, each time somewhere between half and whole so that clients spread out. */
export const backoffMs = (failures: number, random: () => number): number =>
  Math.min(1_000, 50 * 2 ** Math.min(failures, 10)) * (0.5 + random() / 2)
