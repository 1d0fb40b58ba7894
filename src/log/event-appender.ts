import type { Catalog } from '../define/catalog.ts'
import { EmbudoError } from '../define/error.ts'
import type { Codec } from './codec.ts'
import { type EventToAppend, recordEncoder } from './event-record.ts'
import type { Log } from './port.ts'

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
export const appendEvents = (log: Log, codec: Codec, catalog: Catalog, prefix: string) => {
  const toRecord = recordEncoder(codec, prefix)
  return async (events: readonly PreparedEvent[]): Promise<void> => {
    if (events.length === 0) return
    const answers = await log.append(events.map((event) => toRecord(toAppend(event, catalog))))
    const failure = answers.find((answer) => 'failed' in answer)
    if (failure !== undefined) {
      throw new EmbudoError(failure.code, failure.detail, { retriable: failure.retriable })
    }
  }
}

const toAppend = (event: PreparedEvent, catalog: Catalog): EventToAppend => {
  const definition = catalog.events.get(event.type)
  if (definition === undefined) throw new EmbudoError('unknown_event_type', `there is no event ${event.type}`)
  const { id, source, time, correlationId, causationId, traceparent } = event
  const data = event.data as Readonly<Record<string, unknown>>
  const subject = String(data[definition.topic.subject])
  const extensions: [string, string][] = []
  if (correlationId !== undefined) extensions.push(['correlationid', correlationId])
  if (causationId !== undefined) extensions.push(['causationid', causationId])
  return { event: definition, id, source, time, subject, data, traceparent, extensions }
}
