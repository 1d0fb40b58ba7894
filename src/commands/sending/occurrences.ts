/** How many different contents one generation remembers; two are kept, 20 MiB in all. */
const maxRemembered = 2 ** 19

/**
 * How often the same content was seen before: identical lines are events of their own, and each needs an id
 * that it has again the next time. Of a file of any length the last half to one million contents are
 * remembered; of identical lines that are further apart, the later one has the id of the earlier.
 */
export class Occurrences {
  readonly #limit: number
  #current: Generation
  #previous: Generation

  constructor(limit: number = maxRemembered) {
    this.#limit = limit
    this.#current = new Generation(limit)
    this.#previous = new Generation(1)
  }

  /** 0 for the first. `hash`: hexadecimal, at least 16 digits. */
  next(hash: string): number {
    const high = Number.parseInt(hash.slice(0, 8), 16)
    const low = Number.parseInt(hash.slice(8, 16), 16)
    const seen = this.#current.get(high, low) || this.#previous.get(high, low)
    if (this.#current.size === this.#limit) {
      this.#previous = this.#current
      this.#current = new Generation(this.#limit)
    }
    this.#current.set(high, low, seen + 1)
    return seen
  }
}

/** Open addressing over flat arrays: a Map of as many texts takes ten times the memory. */
class Generation {
  size = 0
  readonly #mask: number
  readonly #highs: Uint32Array
  readonly #lows: Uint32Array
  readonly #counts: Uint32Array

  constructor(limit: number) {
    const slots = 2 ** Math.ceil(Math.log2(limit * 1.5 + 1))
    this.#mask = slots - 1
    this.#highs = new Uint32Array(slots)
    this.#lows = new Uint32Array(slots)
    this.#counts = new Uint32Array(slots)
  }

  get(high: number, low: number): number {
    return this.#counts[this.#slotOf(high, low)]!
  }

  set(high: number, low: number, count: number): void {
    const slot = this.#slotOf(high, low)
    if (this.#counts[slot] === 0) this.size += 1
    this.#highs[slot] = high
    this.#lows[slot] = low
    this.#counts[slot] = count
  }

  #slotOf(high: number, low: number): number {
    let slot = low & this.#mask
    while (this.#counts[slot] !== 0 && (this.#highs[slot] !== high || this.#lows[slot] !== low)) {
      slot = (slot + 1) & this.#mask
    }
    return slot
  }
}
