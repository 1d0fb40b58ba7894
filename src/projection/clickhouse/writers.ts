import { EmbudoError } from '../../define/error.ts'
import { type Codec, schemaIdOf, type Writer } from '../../log/codec.ts'

/** Ids that are no event's; a producer that makes up a new one for each record must not fill the memory. */
const mostForeign = 1_000

/**
 * By which schemas the records of one partition were written. What the registry says of an id that is no event's is
 * remembered until the partition is taken over again.
 */
export class Writers {
  readonly #codec: Codec
  readonly #foreign = new Map<number, unknown>()
  /** Nearly every record is by the same schema as the one before. */
  #lastKnown = -1

  constructor(codec: Codec) {
    this.#codec = codec
  }

  /** Whether `learn` has to be called before `of`. */
  knows(value: Buffer | null): boolean {
    const schemaId = value === null ? -1 : schemaIdOf(value)
    if (schemaId < 0 || schemaId === this.#lastKnown) return true
    if (this.#codec.writerOf(value!) === undefined) return this.#foreign.has(schemaId)
    this.#lastKnown = schemaId
    return true
  }

  /** Throws what passes: a registry that is away. */
  async learn(value: Buffer): Promise<void> {
    try {
      await this.#codec.learn(value)
    } catch (error) {
      if (!(error instanceof EmbudoError) || error.retriable) throw error
      if (this.#foreign.size >= mostForeign) this.#foreign.clear()
      this.#foreign.set(schemaIdOf(value), error)
    }
  }

  typeOf(value: Buffer | null): string | undefined {
    return value === null ? undefined : this.#codec.writerOf(value)?.event.type
  }

  /** Throws what can never be read: a value without framing, or by a schema of no event. */
  of(value: Buffer | null): Writer {
    const writer = value === null ? undefined : this.#codec.writerOf(value)
    if (writer !== undefined) return writer
    if (value === null || schemaIdOf(value) < 0) {
      throw new EmbudoError('record_malformed', 'it has no value in Confluent framing')
    }
    throw this.#foreign.get(schemaIdOf(value))
  }
}
