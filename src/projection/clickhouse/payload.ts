import { EmbudoError, messageOf } from '../../define/error.ts'
import { avroType, type Codec, framingBytes, type Writer } from '../../log/codec.ts'
import { type Skip, skipperOf } from './skipper.ts'

/** A record's bytes in the event's current schema: they begin at `from`. */
export interface Payload {
  readonly bytes: Buffer
  readonly from: number
}

/**
 * What a value contributes to a container: its own bytes where its writer used the current schema, proven to end
 * where they should; for every other version the event read through upcasts and resolution, and encoded anew, so
 * that all rows of a table are of one shape. Throws `record_malformed`.
 */
export class Payloads {
  readonly #codec: Codec
  readonly #skips = new Map<Writer, Skip | undefined>()

  constructor(codec: Codec) {
    this.#codec = codec
  }

  of(writer: Writer, value: Buffer): Payload {
    const skip = this.#skipOf(writer)
    if (skip === undefined) return { bytes: this.#encodedAnew(writer, value), from: 0 }
    const end = skip(value, framingBytes)
    if (end === value.length) return { bytes: value, from: framingBytes }
    throw new EmbudoError(
      'record_malformed',
      `its ${value.length} bytes are not one ${writer.event.type} of schema ${writer.schemaId}`,
    )
  }

  #skipOf(writer: Writer): Skip | undefined {
    if (!this.#skips.has(writer)) {
      const isCurrent = writer.version === writer.event.current.version
      this.#skips.set(writer, isCurrent ? skipperOf(writer.event.current.schema) : undefined)
    }
    return this.#skips.get(writer)
  }

  #encodedAnew(writer: Writer, value: Buffer): Buffer {
    try {
      return avroType(writer.event.current.schema).toBuffer(this.#codec.data(value))
    } catch (cause) {
      throw new EmbudoError('record_malformed', messageOf(cause), { cause })
    }
  }
}
