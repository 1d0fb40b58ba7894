/** Kafka's wire format as far as it is written and read here by hand: big-endian, strings behind an int16. */
import { readInt64 } from './record-batch.ts'

export class WireReader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  int16(): number {
    const value = this.#bytes.readInt16BE(this.#at)
    this.#at += 2
    return value
  }

  int32(): number {
    const value = this.#bytes.readInt32BE(this.#at)
    this.#at += 4
    return value
  }

  int64(): number {
    const value = readInt64(this.#bytes, this.#at)
    this.#at += 8
    return value
  }

  string(): string | null {
    const length = this.int16()
    if (length < 0) return null
    const value = this.#bytes.toString('utf8', this.#at, this.#at + length)
    this.#at += length
    return value
  }

  /** A view, not a copy. */
  bytes(): Buffer {
    const length = Math.max(0, this.int32())
    const value = this.#bytes.subarray(this.#at, this.#at + length)
    this.#at += length
    return value
  }

  array<T>(read: () => T): T[] {
    const items: T[] = []
    for (let left = this.int32(); left > 0; left--) items.push(read())
    return items
  }
}

export const int8 = (value: number): Buffer => Buffer.from([value & 0xff])

export function int16(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(2)
  bytes.writeInt16BE(value)
  return bytes
}

/** Several int32 in a row. */
export function int32(...values: number[]): Buffer {
  const bytes = Buffer.allocUnsafe(4 * values.length)
  for (let i = 0; i < values.length; i++) bytes.writeInt32BE(values[i]!, 4 * i)
  return bytes
}

export function int64(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(8)
  bytes.writeBigInt64BE(BigInt(value))
  return bytes
}

export function string(value: string): Buffer {
  const text = Buffer.from(value)
  return Buffer.concat([int16(text.length), text])
}

export const nullString = int16(-1)
