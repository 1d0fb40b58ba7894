import { EmbudoError, isRetriable } from '../../define/error.ts'
import { type Codec, schemaIdOf, type Writer } from '../../log/codec.ts'

/** By which schemas the records of one partition were written. */
export class Writers {
  readonly #codec: Codec
  /** Nearly every record is by the same schema as the one before. */
  #lastKnown = -1

  constructor(codec: Codec) {
    this.#codec = codec
  }

  /** Whether `learn` has to be called before `of`. */
  knows(value: Buffer | null): boolean {
    const schemaId = value === null ? -1 : schemaIdOf(value)
    if (schemaId < 0 || schemaId === this.#lastKnown) return true
    if (this.#codec.writerOf(value!) === undefined) return this.#codec.hasLearnt(value!)
    this.#lastKnown = schemaId
    return true
  }

  /** Throws what passes: a registry that is away. */
  async learn(value: Buffer): Promise<void> {
    try {
      await this.#codec.learn(value)
    } catch (error) {
      if (!(error instanceof EmbudoError) || isRetriable(error)) throw error
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
    // Forgotten already where a batch is by more such schemas than are remembered.
    throw (
      this.#codec.refusalOf(value) ??
      new EmbudoError('schema_foreign', `schema ${schemaIdOf(value)} is of no event of the catalogue`)
    )
  }
}
