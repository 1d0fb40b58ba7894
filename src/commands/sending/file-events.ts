import { type CsvOptions, csvEvents } from './csv-events.ts'
import type { EventLine } from './event-line.ts'
import type { FilePlan } from './file-plan.ts'
import { ndjsonEvents } from './ndjson-events.ts'
import type { Source } from './source-file.ts'

export interface FileEventsOptions extends Omit<CsvOptions, 'newId'> {
  /** Of events that name none, where no export does. */
  readonly defaultSource: string
  readonly newIds: boolean
  readonly newId: () => string
}

/** The events of a file from its beginning, in an order that is the same each time. */
export const fileEvents = (
  source: Source,
  plan: FilePlan,
  options: FileEventsOptions,
): AsyncGenerator<EventLine[]> => {
  const { newIds, newId, secret } = options
  if (plan.format === 'csv') {
    return csvEvents(source.pieces(), plan.csv, {
      ...options,
      name: source.name,
      newId: newIds ? newId : undefined,
    })
  }
  return ndjsonEvents(source.pieces(), {
    source: options.source ?? options.defaultSource,
    secret,
    newId,
    newIds: newIds ? 'always' : source.path === '-' ? 'untimed' : 'never',
    areRejects: plan.areRejects,
  })
}
