import { crc32 } from 'node:zlib'

/** A share of all keys, by their hashes: what does not fit into memory is halved until it does. */
export class Slice {
  readonly #bits: number
  readonly #value: number

  constructor(bits = 0, value = 0) {
    this.#bits = bits
    this.#value = value
  }

  get isWhole(): boolean {
    return this.#bits === 0
  }

  /** One of those that halving makes again and again has no bit set. */
  get isFirst(): boolean {
    return this.#value === 0
  }

  has = (key: string): boolean => (crc32(key) & (2 ** this.#bits - 1)) === this.#value

  halves(): [Slice, Slice] {
    const bits = this.#bits + 1
    return [new Slice(bits, this.#value), new Slice(bits, this.#value + 2 ** this.#bits)]
  }
}
