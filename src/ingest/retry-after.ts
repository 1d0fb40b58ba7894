/**
 * The value of Retry-After: when the bytes that are ahead will have left, at the rate at which bytes leave. Where
 * none is known yet a second, where nothing leaves the longest that is said.
 */
export const retryAfterSeconds = (bytesAhead: number, bytesPerSecond: number | undefined): number => {
  if (bytesPerSecond === undefined) return shortestSeconds
  const seconds = bytesPerSecond > 0 ? Math.ceil(bytesAhead / bytesPerSecond) : longestSeconds
  return Math.min(longestSeconds, Math.max(shortestSeconds, seconds))
}

const shortestSeconds = 1
const longestSeconds = 30

/**
 * At what rate bytes leave. Counting costs an addition; the clock is read only when somebody is pushed back, and
 * while that goes on each reading measures the time since the one before.
 */
export class ReleaseRate {
  #total = 0
  #readTotal = 0
  #readAtMs = Number.NEGATIVE_INFINITY
  #perSecond: number | undefined

  add(bytes: number): void {
    this.#total += bytes
  }

  /** Undefined until it has been measured over half a second. */
  perSecond(nowMs: number): number | undefined {
    const elapsedMs = nowMs - this.#readAtMs
    if (elapsedMs < shortestMeasureMs) return this.#perSecond
    if (elapsedMs > longestMeasureMs) this.#perSecond = undefined
    else {
      const measured = ((this.#total - this.#readTotal) / elapsedMs) * 1000
      // Half of what it was, so that a hiccup does not send everybody away for long.
      this.#perSecond = this.#perSecond === undefined ? measured : (this.#perSecond + measured) / 2
    }
    this.#readAtMs = nowMs
    this.#readTotal = this.#total
    return this.#perSecond
  }
}

const shortestMeasureMs = 500
/** What was longer ago says nothing of now. */
const longestMeasureMs = 10_000
