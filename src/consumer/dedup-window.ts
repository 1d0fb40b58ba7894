import type { Identity } from './identity-hash.ts'

/**
 * Tells whether an identity stands within the last `size` offsets of a partition. What is asked for is taken in
 * by the asking, whether it was there or not, so the answer follows from the log alone.
 *
 * A ring of identities by offset, and chains through it from a table of buckets: 25 bytes an offset, 2.5 MB for
 * 100,000, of which what was never reached takes no memory. An identity is in there once, at its last offset:
 * a producer that sends one id for ever makes no chain long.
 */
export class DedupWindow {
  readonly #size: number
  /** Four words a slot; all zero where there is none. */
  readonly #words: Uint32Array
  /** By slot, one more than the next slot in its bucket's chain; 0 ends the chain. */
  readonly #links: Uint32Array
  /** By bucket, one more than the first slot of its chain. */
  readonly #buckets: Uint32Array
  /** Offsets before it are forgotten. */
  #start = 0
  #next = 0

  constructor(size: number) {
    this.#size = size
    this.#words = new Uint32Array(4 * size)
    this.#links = new Uint32Array(size)
    this.#buckets = new Uint32Array(2 ** Math.ceil(Math.log2(size)))
  }

  /** Offsets ascend from call to call; some may be left out. */
  take(offset: number, identity: Identity | undefined): boolean {
    this.#forgetBefore(offset - this.#size)
    const isDuplicate = identity !== undefined && this.#remove(identity, 0)
    // The slot that it takes is that of the oldest offset it was compared with.
    this.#forgetBefore(offset - this.#size + 1)
    this.#next = offset + 1
    if (identity !== undefined) this.#add(offset % this.#size, identity)
    return isDuplicate
  }

  #add(slot: number, identity: Identity): void {
    for (let word = 0; word < 4; word++) this.#words[4 * slot + word] = identity[word]!
    const bucket = identity[0]! & (this.#buckets.length - 1)
    this.#links[slot] = this.#buckets[bucket]!
    this.#buckets[bucket] = slot + 1
  }

  /** Takes the identity that stands in `from` at `at` out of the ring; false where it is not in there. */
  #remove(from: Readonly<Uint32Array>, at: number): boolean {
    const words = this.#words
    const bucket = from[at]! & (this.#buckets.length - 1)
    let previous = 0
    for (let link = this.#buckets[bucket]!; link !== 0; link = this.#links[link - 1]!) {
      const slot = 4 * (link - 1)
      if (
        words[slot] === from[at] &&
        words[slot + 1] === from[at + 1] &&
        words[slot + 2] === from[at + 2] &&
        words[slot + 3] === from[at + 3]
      ) {
        if (previous === 0) this.#buckets[bucket] = this.#links[link - 1]!
        else this.#links[previous - 1] = this.#links[link - 1]!
        for (let word = slot; word < slot + 4; word++) words[word] = 0
        return true
      }
      previous = link
    }
    return false
  }

  #forgetBefore(offset: number): void {
    const end = Math.min(offset, this.#next)
    for (; this.#start < end; this.#start++) this.#remove(this.#words, 4 * (this.#start % this.#size))
    if (this.#start < offset) this.#start = offset
  }
}
