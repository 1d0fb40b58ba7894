/** Offsets of one partition that the tables hold already, as runs from first to last, ascending. */
export type Runs = readonly (readonly [first: number, last: number])[]

/**
 * Asked offset by offset in ascending order, which is how a partition is read: knows which rows a look has
 * found, so that only what is missing is sent.
 */
export class Held {
  readonly #runs: Runs
  #at = 0

  constructor(runs: Runs) {
    this.#runs = runs
  }

  has(offset: number): boolean {
    while (this.#at < this.#runs.length && this.#runs[this.#at]![1] < offset) this.#at++
    const run = this.#runs[this.#at]
    return run !== undefined && run[0] <= offset
  }
}
