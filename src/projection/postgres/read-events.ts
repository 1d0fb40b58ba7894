import type { PartitionOf } from '../../consumer/positions.ts'
import type { Corrections } from '../../dead-letter/correction.ts'
import { StoredRecord } from '../../dead-letter/stored-record.ts'
import { EmbudoError, isRetriable } from '../../define/error.ts'
import type { DomainEvent } from '../../define/event.ts'
import { type Codec, schemaIdOf } from '../../log/codec.ts'
import type { LogRecord } from '../../log/port.ts'

/** A record that concerns a projection: an event, or what no event can be made of. */
export type Read =
  | { readonly record: LogRecord; readonly event: DomainEvent<Record<string, unknown>> }
  | { readonly record: LogRecord; readonly event: undefined; readonly error: unknown }
  /** An operator has decided that this projection passes it over. */
  | { readonly record: LogRecord; readonly event: undefined; readonly error: undefined }

type Place = Pick<PartitionOf, 'reader' | 'topic' | 'partition'>

export interface EventSource {
  readonly codec: Codec
  readonly corrections: Corrections
  /** The event types that the projection folds. */
  readonly types: Readonly<Record<string, unknown>>
}

/**
 * The records of batches that are of interest, corrected where somebody has decided so. What makes a record
 * unreadable for good comes with it; a registry that does not answer is a passing fault and is thrown.
 */
export const readEvents = async (
  batches: readonly { readonly records: readonly LogRecord[] }[],
  of: Place,
  source: EventSource,
): Promise<Read[]> => {
  const reads: Read[] = []
  for (const { records } of batches) {
    for (const record of records) {
      const correction = source.corrections.size === 0 ? undefined : correctionOf(record, of, source)
      if (correction?.decision === 'discarded') {
        reads.push({ record, event: undefined, error: undefined })
        continue
      }
      const value = correction?.value ?? record.value
      if (value !== null) {
        const read = readOne(
          correction === undefined ? record : StoredRecord.edited(record, value),
          of,
          source,
        )
        const known = read instanceof Promise ? await read : read
        if (known !== undefined) reads.push(known)
      }
    }
  }
  return reads
}

const correctionOf = (record: LogRecord, of: Place, { corrections }: EventSource) =>
  corrections.of(of.reader, of.topic, of.partition, record.offset)

/** Undefined where it is of no interest. A promise where the schema has to be asked for: hardly ever. */
export const readOne = (
  record: LogRecord,
  of: Place,
  source: Pick<EventSource, 'codec' | 'types'>,
): Read | undefined | Promise<Read | undefined> => {
  if (record.value === null) return undefined
  const writer = source.codec.writerOf(record.value)
  if (writer === undefined) {
    return learn(source.codec, record.value).then((error) =>
      error === undefined ? readOne(record, of, source) : { record, event: undefined, error },
    )
  }
  if (!(writer.event.type in source.types)) return undefined
  try {
    if (hasNul(record.key)) throw new EmbudoError('record_malformed', 'its key has a NUL, which no row can')
    return { record, event: source.codec.event(record, of.topic, of.partition) }
  } catch (error) {
    return { record, event: undefined, error }
  }
}

/** Keys are short: a loop takes a third of the time that a call of `includes` does. */
const hasNul = (key: Buffer | null): boolean => {
  if (key !== null) for (let at = 0; at < key.length; at++) if (key[at] === 0) return true
  return false
}

/** Why the record can never be read; undefined where its schema is known now. */
const learn = async (codec: Codec, value: Buffer): Promise<unknown> => {
  if (schemaIdOf(value) < 0)
    return new EmbudoError('record_malformed', 'its value is not in Confluent framing')
  try {
    await codec.learn(value)
    return undefined
  } catch (error) {
    if (isRetriable(error)) throw error
    return error
  }
}
