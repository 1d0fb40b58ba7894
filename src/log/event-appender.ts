import { type Catalog, topicName } from '../define/catalog.ts'
import { EmbudoError } from '../define/error.ts'
import type { Codec } from './codec.ts'
import { type AppendRecord, type Log, partitionFor } from './port.ts'

/** An event with all that its record says. `data` must have been validated. */
export interface PreparedEvent {
  readonly type: string
  readonly id: string
  readonly source: string
  readonly time: string
  readonly data: unknown
  readonly correlationId?: string | undefined
  readonly causationId?: string | undefined
  readonly traceparent?: string | undefined
}

/**
 * Appends events; resolves when the log has all of them. The events of one subject keep their order, also over
 * calls that were not waited for.
 */
export const appendEvents =
  (log: Log, codec: Codec, catalog: Catalog, prefix: string) =>
  async (events: readonly PreparedEvent[]): Promise<void> => {
    if (events.length === 0) return
    const answers = await log.append(events.map((event) => recordOf(event, codec, catalog, prefix)))
    const failure = answers.find((answer) => 'failed' in answer)
    if (failure !== undefined) {
      throw new EmbudoError(failure.code, failure.detail, { retriable: failure.retriable })
    }
  }

/** CloudEvents' Kafka binding in binary mode; the key is the subject. */
export const recordOf = (
  event: PreparedEvent,
  codec: Codec,
  catalog: Catalog,
  prefix: string,
): AppendRecord => {
  const definition = catalog.events.get(event.type)
  if (definition === undefined) throw new EmbudoError('unknown_event_type', `there is no event ${event.type}`)
  const { topic, current } = definition
  const key = Buffer.from(String((event.data as Record<string, unknown>)[topic.subject]))
  const headers: [string, string][] = [
    ['ce_specversion', '1.0'],
    ['ce_id', event.id],
    ['ce_source', event.source],
    ['ce_type', event.type],
    ['ce_time', event.time],
    ['ce_dataschema', `${event.type}/${current.version}`],
    ['content-type', 'application/avro'],
  ]
  if (event.traceparent !== undefined) headers.push(['traceparent', event.traceparent])
  if (event.correlationId !== undefined) headers.push(['ce_correlationid', event.correlationId])
  if (event.causationId !== undefined) headers.push(['ce_causationid', event.causationId])
  return {
    topic: topicName(prefix, topic),
    partition: partitionFor(key, topic.partitions),
    key,
    value: codec.encode(event.type, event.data),
    headers,
  }
}
