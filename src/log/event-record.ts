import { type EventDefinition, topicName } from '../define/catalog.ts'
import type { Codec } from './codec.ts'
import { type AppendRecord, partitionFor } from './port.ts'

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

export type ToRecord = (event: EventToAppend) => AppendRecord

type Header = readonly [name: string, value: string]

/** Events as the log takes them: Confluent framing, and CloudEvents' Kafka binding in binary mode. */
export const recordEncoder = (codec: Codec, topicPrefix: string): ToRecord => {
  const constants = new Map<string, { topic: string; partitions: number; type: Header; dataSchema: Header }>()

  const constantsOf = ({ event }: EventToAppend) => {
    const made = constants.get(event.type)
    if (made !== undefined) return made
    const { topic, current, type } = event
    const constant = {
      topic: topicName(topicPrefix, topic),
      partitions: topic.partitions,
      type: ['ce_type', type] as const,
      dataSchema: ['ce_dataschema', `${type}/${current.version}`] as const,
    }
    constants.set(type, constant)
    return constant
  }

  return (event) => {
    const { topic, partitions, type, dataSchema } = constantsOf(event)
    const key = Buffer.from(event.subject)
    const headers: Header[] = [
      specVersion,
      ['ce_id', event.id],
      ['ce_source', event.source],
      type,
      ['ce_time', event.time],
      dataSchema,
      contentType,
    ]
    if (event.traceparent !== undefined) headers.push(['traceparent', event.traceparent])
    for (const [name, value] of event.extensions) headers.push([`ce_${name}`, value])
    return {
      topic,
      partition: partitionFor(key, partitions),
      key,
      value: codec.encode(event.event.type, event.data),
      headers,
    }
  }
}

const specVersion = ['ce_specversion', '1.0'] as const
const contentType = ['content-type', 'application/avro'] as const
