import { isRetriable } from '../../define/error.ts'
import type { Codec } from '../../log/codec.ts'
import type { LogRecord } from '../../log/port.ts'

export interface FilterOptions {
  readonly type: readonly string[]
  readonly subject: readonly string[]
  readonly source: readonly string[]
}

/** One of each, of what is given. */
export const filterOf = (
  { type, subject, source }: FilterOptions,
  codec: Codec,
): ((record: LogRecord) => Promise<boolean>) => {
  const [types, subjects, sources] = [new Set(type), new Set(subject), new Set(source)]
  return async (record) =>
    (subjects.size === 0 || subjects.has(record.key?.toString('utf8') ?? '')) &&
    (sources.size === 0 || sources.has(record.header('ce_source') ?? '')) &&
    (types.size === 0 || types.has((await typeOf(record, codec)) ?? ''))
}

/** Producers of other makes may say it in the schema alone; of what is no event of the catalogue nobody can tell. */
const typeOf = async (record: LogRecord, codec: Codec): Promise<string | undefined> => {
  const told = record.header('ce_type')
  if (told !== undefined || record.value === null) return told
  try {
    return (codec.writerOf(record.value) ?? (await codec.learn(record.value))).event.type
  } catch (error) {
    if (isRetriable(error)) throw error
    return undefined
  }
}
