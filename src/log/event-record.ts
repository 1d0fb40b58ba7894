import { type EventDefinition, topicName } from '../define/catalog.ts'
import type { Codec } from './codec.ts'
import { type EncodedRecord, partitionFor } from './port.ts'
import { bytesAtMost, encodedTexts, RecordBodyWriter } from './record-body.ts'

/** An event with all that its record says. `data` must have been validated. */
export interface EventToAppend {
  readonly event: EventDefinition
  readonly id: string
  readonly source: string
  readonly time: string
  readonly subject: string
  readonly data: Readonly<Record<string, unknown>>
  readonly traceparent: string | undefined
  /** CloudEvents extension attributes, correlation and causation included, by name. */
  readonly extensions: ReadonlyArray<readonly [name: string, value: string]>
}

/** `into` is for who knows when the record is not needed any more, and writes the next ones over it. */
export type ToRecord = (event: EventToAppend, into?: RecordBodyWriter) => EncodedRecord

/**
 * Events as the log takes them: Confluent framing, and CloudEvents' Kafka binding in binary mode. What readers
 * look for in every record stands first among its headers; what all events of a type have in common stands last.
 */
export const recordEncoder = (codec: Codec, topicPrefix: string): ToRecord => {
  const shared = new RecordBodyWriter(sharedBlockBytes)
  const constants = new Map<string, TypeConstants>()

  const constantsOf = (event: EventDefinition): TypeConstants => {
    const made = constants.get(event.type) ?? typeConstants(event, topicPrefix)
    constants.set(event.type, made)
    return made
  }

  return ({ event, id, source, time, subject, data, traceparent, extensions }, writer = shared) => {
    const { topic, partitions, commonHeaders } = constantsOf(event)
    const key = Buffer.from(subject)
    const value = codec.encodeShared(event.type, data)
    const constantBytes = commonHeaders.length + 64 + 3 * extensions.length
    let characters = id.length + source.length + time.length + (traceparent?.length ?? 0)
    for (const [name, text] of extensions) characters += name.length + text.length
    const pieces = 13 + 2 * extensions.length
    writer.begin(key.length + value.length + constantBytes + bytesAtMost(characters, pieces))
    writer.bytes(key)
    writer.bytes(value)
    writer.count(7 + (traceparent === undefined ? 0 : 1) + extensions.length)
    writer.text('ce_id')
    writer.text(id)
    writer.text('ce_source')
    writer.text(source)
    writer.text('ce_time')
    writer.text(time)
    writer.raw(commonHeaders)
    if (traceparent !== undefined) {
      writer.text('traceparent')
      writer.text(traceparent)
    }
    for (const [name, text] of extensions) {
      writer.text(`ce_${name}`)
      writer.text(text)
    }
    return { topic, partition: partitionFor(key, partitions), body: writer.end() }
  }
}

// One record that waits keeps its block: not much more than itself.
const sharedBlockBytes = 16 * 1024

interface TypeConstants {
  readonly topic: string
  readonly partitions: number
  /** Four headers, encoded. */
  readonly commonHeaders: Buffer
}

const typeConstants = ({ type, topic, current }: EventDefinition, prefix: string): TypeConstants => ({
  topic: topicName(prefix, topic),
  partitions: topic.partitions,
  commonHeaders: encodedTexts(
    ...['ce_type', type, 'ce_dataschema', `embudo:${type}/${current.version}`],
    ...['ce_specversion', '1.0', 'content-type', 'application/avro'],
  ),
})

export { RecordBodyWriter } from './record-body.ts'
