/** Reads Thrift's binary protocol without a schema: a struct becomes an object by field ids. */
export const thriftStruct = (bytes: Buffer): Record<number, unknown> => new Reader(bytes).struct()

export const thriftText = (value: unknown): string => (value as Buffer).toString()

class Reader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  struct(): Record<number, unknown> {
    const fields: Record<number, unknown> = {}
    for (let type = this.#byte(); type !== 0; type = this.#byte()) {
      const id = this.#bytes.readInt16BE(this.#skip(2))
      fields[id] = this.#value(type)
    }
    return fields
  }

  #value(type: number): unknown {
    switch (type) {
      case 2:
        return this.#byte() !== 0
      case 3:
        return this.#byte()
      case 4:
        return this.#bytes.readDoubleBE(this.#skip(8))
      case 6:
        return this.#bytes.readInt16BE(this.#skip(2))
      case 8:
        return this.#bytes.readInt32BE(this.#skip(4))
      case 10:
        return this.#bytes.readBigInt64BE(this.#skip(8))
      case 11: {
        const length = this.#bytes.readInt32BE(this.#skip(4))
        const start = this.#skip(length)
        return this.#bytes.subarray(start, start + length)
      }
      case 12:
        return this.struct()
      case 14:
      case 15: {
        const element = this.#byte()
        const length = this.#bytes.readInt32BE(this.#skip(4))
        return Array.from({ length }, () => this.#value(element))
      }
      default:
        throw new Error(`Thrift type ${type} is not read here`)
    }
  }

  #byte(): number {
    return this.#bytes[this.#skip(1)]!
  }

  #skip(length: number): number {
    const start = this.#at
    this.#at += length
    return start
  }
}
