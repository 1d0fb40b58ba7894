import type { LogBatch } from '../log/port.ts'
import { noTracing, type Span, type Tracing } from './span.ts'

/** What a batch's span names besides its first record's: enough to find a trace, and a span stays small. */
const maxLinks = 32

/**
 * One span for the batches of one partition that are applied together, with links to the requests that sampled
 * records came from. It stands in the trace of the first of them: so it is recorded wherever that one is, and a
 * record that is applied alone, as in quiet times, is seen in one trace from its request to the row. Nothing is
 * recorded where no record was sampled.
 */
export const startBatchSpan = (tracing: Tracing, reader: string, batches: readonly LogBatch[]): Span => {
  const first = batches.find(({ records }) => records.length > 0)
  if (!tracing.enabled || first === undefined) return noTracing.start(reader, { kind: 'consumer' })
  const sampled = sampledTraceparents(batches, maxLinks)
  if (sampled.length === 0) return noTracing.start(reader, { kind: 'consumer' })
  return tracing.start(`${reader} process ${first.topic}`, {
    kind: 'consumer',
    parent: sampled[0],
    links: sampled,
    attributes: {
      'messaging.system': 'kafka',
      'messaging.operation.type': 'process',
      'messaging.destination.name': first.topic,
      'messaging.destination.partition.id': String(first.partition),
      'messaging.batch.message_count': batches.reduce((sum, { records }) => sum + records.length, 0),
      'messaging.kafka.offset': first.records[0]!.offset,
      'embudo.reader': reader,
      'embudo.offset.last': batches.findLast(({ records }) => records.length > 0)!.records.at(-1)!.offset,
    },
  })
}

/** Different ones, in the order of the log. */
export const sampledTraceparents = (batches: readonly LogBatch[], limit: number): string[] => {
  const found = new Set<string>()
  for (const { records } of batches) {
    for (const record of records) {
      const traceparent = record.header('traceparent')
      if (traceparent !== undefined && isSampled(traceparent)) found.add(traceparent)
      if (found.size === limit) return [...found]
    }
  }
  return [...found]
}

/** The flags' last bit. */
const isSampled = (traceparent: string): boolean => '13579bdf'.includes(traceparent[54] ?? '0')
