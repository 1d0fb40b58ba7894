import type { Codec } from '../../log/codec.ts'
import type { LogRecord } from '../../log/port.ts'

/**
 * A record as `POST /api/events` takes it: a CloudEvents object, its data in the event's current version. Where it
 * stood in the log, and when that took it, are extension attributes (`logtopic`, `logpartition`, `logoffset`,
 * `logtime`), unless the event has too many of its own: ingestion takes sixteen. The schema must be learnt.
 */
export const cloudEventOf = (codec: Codec, record: LogRecord, topic: string, partition: number): object => {
  const { type, id, source, time, subject, data, traceparent } = codec.event(record, topic, partition)
  const extensions = Object.entries(record.headers()).flatMap(([header, text]) => {
    const name = header.startsWith('ce_') ? header.slice(3) : ''
    return /^[a-z0-9]{1,64}$/.test(name) && !attributes.has(name) ? [[name, text] as const] : []
  })
  const counted = extensions.filter(([name]) => !uncounted.has(name))
  return {
    ...{ specversion: '1.0', id, source, type, time, subject, datacontenttype: 'application/json' },
    ...(traceparent === undefined ? {} : { traceparent }),
    ...Object.fromEntries(extensions),
    ...(counted.length > maxExtensions - placeAttributes.length
      ? {}
      : {
          ...{ logtopic: topic, logpartition: partition, logoffset: record.offset },
          logtime: new Date(record.timestamp).toISOString(),
        }),
    data,
  }
}

const maxExtensions = 16
const placeAttributes = ['logtopic', 'logpartition', 'logoffset', 'logtime']

/** CloudEvents' own. What the event itself says of a place in the log was another one. */
const attributes = new Set([
  ...['specversion', 'id', 'source', 'type', 'time', 'subject', 'datacontenttype', 'dataschema', 'data'],
  ...placeAttributes,
])
/** Named by embudo, and so not among the sixteen. */
const uncounted = new Set(['correlationid', 'causationid', 'traceparent'])
