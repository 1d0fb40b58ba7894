import type { KnownRow } from './fold.ts'

/**
 * The rows of one partition as this process last wrote them. Valid for as long as it holds the epoch: whoever
 * writes rows out of band raises that first, and the projector then starts with an empty cache. Least recently
 * used rows leave beyond `maxRows`.
 */
export class RowCache {
  readonly #rows = new Map<string, KnownRow>()
  readonly #maxRows: number

  constructor(maxRows: number) {
    this.#maxRows = maxRows
  }

  get(key: string): KnownRow | undefined {
    return this.#rows.get(key)
  }

  put(key: string, known: KnownRow): void {
    this.#rows.delete(key)
    this.#rows.set(key, known)
  }

  /** Keeps at least the `atLeast` rows used last: those of a batch that is still being written are nowhere else. */
  trim(atLeast: number): void {
    const most = Math.max(this.#maxRows, atLeast)
    for (const key of this.#rows.keys()) {
      if (this.#rows.size <= most) return
      this.#rows.delete(key)
    }
  }
}
