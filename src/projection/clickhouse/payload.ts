import type { EventDefinition } from '../../define/catalog.ts'
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
 * that all rows of a table are of one shape. That is proven too: an amount may be larger than its column. Throws
 * `record_malformed`.
 */
export class Payloads {
  readonly #codec: Codec
  readonly #skips = new Map<EventDefinition, Skip>()

  constructor(codec: Codec) {
    this.#codec = codec
  }

  of(writer: Writer, value: Buffer): Payload {
    const { event } = writer
    const isCurrent = writer.version === event.current.version
    const bytes = isCurrent ? value : this.#encodedAnew(writer, value)
    const from = isCurrent ? framingBytes : 0
    if (this.#skipOf(event)(bytes, from) === bytes.length) return { bytes, from }
    throw new EmbudoError(
      'record_malformed',
      isCurrent
        ? `its ${value.length} bytes are not one ${event.type} of schema ${writer.schemaId}`
        : `what ${event.type} of schema ${writer.schemaId} becomes does not fit its columns`,
    )
  }

  #skipOf(event: EventDefinition): Skip {
    const known = this.#skips.get(event)
    if (known !== undefined) return known
    const skip = skipperOf(event.current.schema)
    this.#skips.set(event, skip)
    return skip
  }

  #encodedAnew(writer: Writer, value: Buffer): Buffer {
    try {
      return avroType(writer.event.current.schema).toBuffer(this.#codec.data(value))
    } catch (cause) {
      throw new EmbudoError('record_malformed', messageOf(cause), { cause })
    }
  }
}
