import { type Page, pageOf } from './page.ts'

/** Time, randomness and the page around the client: handed in, so that a test can own them. */
export interface Surroundings {
  /** Milliseconds since the epoch: what events are stamped with. */
  readonly now: () => number
  /** Milliseconds on a clock that nobody sets: what deadlines are measured by. */
  readonly elapsed: () => number
  /** Calls once, after so many milliseconds; returns how that is called off. */
  readonly after: (ms: number, call: () => void) => () => void
  readonly random: () => number
  readonly randomBytes: (count: number) => Uint8Array
  /** Undefined outside of a browser's page. */
  readonly page: Page | undefined
}

export const surroundings = (): Surroundings => ({
  now: Date.now,
  elapsed: () => performance.now(),
  after: (ms, call) => {
    const timer = setTimeout(call, ms)
    return () => clearTimeout(timer)
  },
  random: Math.random,
  randomBytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
  page: pageOf(globalThis),
})
