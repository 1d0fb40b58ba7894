import { EmbudoError } from '../define/error.ts'

/**
 * How many of the last events could not be applied. A few are poison; many are a fold that is wrong, and parking
 * them all would only hide that.
 */
export class PoisonShare {
  readonly #projection: string
  readonly #max: number
  #events = 0
  #poisoned = 0

  constructor(projection: string, max: number) {
    this.#projection = projection
    this.#max = max
  }

  /** Throws `too_many_poisoned`, before what was noted last is committed. */
  note(events: number, poisoned: number): void {
    this.#events += events
    this.#poisoned += poisoned
    if (this.#poisoned >= fewest && this.#poisoned > this.#max * this.#events) {
      throw new EmbudoError(
        'too_many_poisoned',
        `${this.#projection} could not apply ${this.#poisoned} of its last ${this.#events} events, more than EMBUDO_MAX_POISONED_SHARE allows: nothing more is parked. Mend the fold, then start the worker anew`,
        { facts: { projection: this.#projection, events: this.#events, poisoned: this.#poisoned } },
      )
    }
    if (this.#events > remembered) {
      this.#events /= 2
      this.#poisoned /= 2
    }
  }
}

/** So many are no share of anything yet. */
const fewest = 100
const remembered = 2_000
