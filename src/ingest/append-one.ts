import { EmbudoError } from '../define/error.ts'
import type { ToRecord } from '../log/event-record.ts'
import type { Appended, Log } from '../log/port.ts'
import { failureError, failureOf } from './batch.ts'
import type { EventError } from './event-error.ts'
import type { IngestMetrics } from './metrics.ts'
import type { Sender, Validate, ValidEvent } from './validate.ts'

export interface AppendOneParts {
  readonly log: Pick<Log, 'append'>
  readonly validate: Validate
  readonly toRecord: ToRecord
  readonly metrics?: Pick<IngestMetrics, 'accepted' | 'refused' | 'pushedBack'> | undefined
}

/** `refused`: the event is not valid. `failure`: the log would not have it, or nobody can tell. */
export type AppendedOne =
  | { readonly event: ValidEvent; readonly appended: Appended }
  | { readonly refused: EventError; readonly id: string | undefined }
  | { readonly failure: EventError; readonly id: string }

/** One event by itself, counted as what became of it. */
export const appendOne = async (
  { log, validate, toRecord, metrics }: AppendOneParts,
  input: unknown,
  sender: Sender,
): Promise<AppendedOne> => {
  const event = validate(input, sender)
  if ('refused' in event) {
    metrics?.refused(event.refused.code)
    return { refused: event.refused, id: event.id }
  }
  const [outcome] = await log.append([toRecord(event)]).catch((error: unknown) => [failureOf(error)])
  if (outcome === undefined)
    throw new EmbudoError('log_unavailable', 'the log gave no answer', { retriable: true })
  if ('failed' in outcome) {
    const failure = failureError(outcome)
    metrics?.refused(failure.code)
    if (failure.code === 'log_busy') metrics?.pushedBack(failure.code)
    return { failure, id: event.id }
  }
  metrics?.accepted(1)
  return { event, appended: outcome }
}
