import { topicName } from '../define/catalog.ts'
import type { Codec } from '../log/codec.ts'
import { type AppendRecord, partitionFor } from '../log/port.ts'
import type { ValidEvent } from './validate.ts'

export type ToRecord = (event: ValidEvent) => AppendRecord

type Header = readonly [name: string, value: string]

/** Events as the log takes them: Confluent framing, and CloudEvents' Kafka binding in binary mode. */
export const recordEncoder = (codec: Codec, topicPrefix: string): ToRecord => {
  const constants = new Map<string, { topic: string; partitions: number; type: Header; dataSchema: Header }>()

  const constantsOf = ({ event }: ValidEvent) => {
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
