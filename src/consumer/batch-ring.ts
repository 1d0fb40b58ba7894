import { cutBefore, type WholeBatch } from './distinct.ts'

/**
 * The last batches that were read of a partition, one behind the other, so that several readers can stand in them.
 * The oldest leave when there is no more room; the newest always stays.
 */
export class BatchRing {
  readonly #held: Held[] = []
  #bytes = 0
  #start: number
  #end: number

  /** Empty: it holds nothing, and what is pushed first begins at `start`. */
  constructor(start: number) {
    this.#start = start
    this.#end = start
  }

  /** The first offset that is held. */
  get start(): number {
    return this.#start
  }

  /** One past the last that is held. */
  get end(): number {
    return this.#end
  }

  push(batch: WholeBatch, maxBytes: number): void {
    const bytes = bytesOf(batch)
    if (this.#held.length === 0) this.#start = batch.first
    this.#held.push({ batch, bytes })
    this.#bytes += bytes
    this.#end = batch.last.offset + 1
    while (this.#bytes > maxBytes && this.#held.length > 1) {
      this.#bytes -= this.#held.shift()!.bytes
      this.#start = this.#held[0]!.batch.first
    }
  }

  /** The batch in which `offset` stands, without what is before it; undefined where none does. */
  at(offset: number): WholeBatch | undefined {
    if (offset < this.#start || offset >= this.#end) return undefined
    let [low, high] = [0, this.#held.length - 1]
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#held[middle]!.batch.last.offset < offset) low = middle + 1
      else high = middle
    }
    const held = this.#held[low]
    return held === undefined ? undefined : cutBefore(held.batch, offset)
  }
}

interface Held {
  readonly batch: WholeBatch
  readonly bytes: number
}

const bytesOf = ({ records, duplicates }: WholeBatch): number => {
  let bytes = (records.length + duplicates) * recordBytes
  for (const { key, value } of records) bytes += (key?.length ?? 0) + (value?.length ?? 0)
  return bytes
}

/** What a record takes besides its key and value: headers, three objects, and the event once it is decoded. */
const recordBytes = 600
