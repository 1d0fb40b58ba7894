import { type CsvOptions, csvEvents } from './csv-events.ts'
import type { EventLine } from './event-line.ts'
import type { FilePlan } from './file-plan.ts'
import { ndjsonEvents } from './ndjson-events.ts'
import type { Source } from './source-file.ts'

export interface FileEventsOptions extends CsvOptions {
  /** Of events that name none, where no export does. */
  readonly defaultSource: string
  readonly newId: () => string
}

/** The events of a file from its beginning, in an order that is the same each time. */
export const fileEvents = (
  source: Source,
  plan: FilePlan,
  options: FileEventsOptions,
): AsyncGenerator<EventLine[]> => {
  const { newId, secret, seed } = options
  if (plan.format === 'csv') return csvEvents(source.pieces(), plan.csv, { ...options, name: source.name })
  return ndjsonEvents(source.pieces(), {
    source: options.source ?? options.defaultSource,
    secret,
    seed,
    newId: source.path === '-' ? newId : undefined,
    areRejects: plan.areRejects,
  })
}
