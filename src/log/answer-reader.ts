import { EmbudoError } from '../define/error.ts'

/**
 * Cuts what comes from a broker into its answers. One that comes in pieces is put together in memory that the next
 * one is written into, and what is read may be written again too: whoever is told must be done with an answer when it
 * returns. Fetching makes no garbage that way but for the records themselves.
 */
export class AnswerReader {
  readonly #tell: (answer: Buffer) => void
  #memory: Buffer = Buffer.alloc(0)
  #filled = 0

  constructor(tell: (answer: Buffer) => void) {
    this.#tell = tell
  }

  /** Throws `unexpected_answer` where this is no answer of a broker's. */
  read(chunk: Buffer): void {
    for (let rest = chunk; rest.length > 0; ) {
      const length = this.#filled === 0 ? wholeLength(rest) : undefined
      if (length === undefined) rest = this.#gather(rest)
      else {
        this.#tell(rest.subarray(LENGTH_BYTES, length))
        rest = rest.subarray(length)
      }
    }
  }

  /** Takes as much as belongs to the answer that is being put together. */
  #gather(chunk: Buffer): Buffer {
    const length = this.#filled < LENGTH_BYTES ? LENGTH_BYTES : lengthAt(this.#memory)
    const taken = Math.min(length - this.#filled, chunk.length)
    this.#reserve(length)
    chunk.copy(this.#memory, this.#filled, 0, taken)
    this.#filled += taken
    if (this.#filled >= LENGTH_BYTES && this.#filled === lengthAt(this.#memory)) {
      const answer = this.#memory.subarray(LENGTH_BYTES, this.#filled)
      this.#filled = 0
      this.#tell(answer)
    }
    return chunk.subarray(taken)
  }

  #reserve(bytes: number): void {
    if (bytes <= this.#memory.length) return
    const larger = Buffer.allocUnsafeSlow(Math.ceil(bytes / STEP_BYTES) * STEP_BYTES)
    this.#memory.copy(larger, 0, 0, this.#filled)
    this.#memory = larger
  }
}

const LENGTH_BYTES = 4
const STEP_BYTES = 64 * 1024
/** Much more than is ever asked for: a peer that speaks something else must not take the memory. */
const MAX_ANSWER_BYTES = 256 * 1024 * 1024

/** Of the answer at the beginning, its length included; undefined where it is not all there. */
const wholeLength = (bytes: Buffer): number | undefined => {
  if (bytes.length < LENGTH_BYTES) return undefined
  const length = lengthAt(bytes)
  return length <= bytes.length ? length : undefined
}

const lengthAt = (bytes: Buffer): number => {
  const length = bytes.readInt32BE(0)
  if (length < 0 || length > MAX_ANSWER_BYTES) {
    throw new EmbudoError('unexpected_answer', 'What answers is no Kafka broker. Check KAFKA_BROKERS.', {
      facts: { length },
    })
  }
  return LENGTH_BYTES + length
}
