import { topicName } from '../define/catalog.ts'
import { EmbudoError, messageOf } from '../define/error.ts'
import type { TopicDefinition } from '../define/topic.ts'
import type { Codec } from '../log/codec.ts'
import type { Log, LogRecord } from '../log/port.ts'
import type { Correction, Corrections } from './correction.ts'

export interface CorrectionParts {
  readonly log: Log
  readonly codec: Codec
  /** Of the topics' names. */
  readonly prefix: string
  /** Where decisions stand. */
  readonly topic: TopicDefinition
  readonly logger: { error(facts: object, message: string): void }
}

export interface FollowedCorrections extends Corrections, AsyncDisposable {
  /** What this process has put into the log itself, before its own reading of the log brings it. */
  learn(reader: string, topic: string, partition: number, offset: number, correction: Correction): void
}

/** Where a record stands, as corrections name it: without the prefix of this installation's topics. */
export const placeOf = (prefix: string, topic: string, partition: number, offset: number): string =>
  `${topic.startsWith(prefix) ? topic.slice(prefix.length) : topic}:${partition}:${offset}`

/**
 * Reads every decision that the log has, then follows it. A reader that starts afterwards meets a corrected record
 * corrected, so a rebuild comes to what the model has come to. Of several decisions about a record the last one
 * stands: nobody can decide about a record again once it is settled (see decide.ts).
 */
export const readCorrections = async ({
  log,
  codec,
  prefix,
  topic,
  logger,
}: CorrectionParts): Promise<FollowedCorrections> => {
  const byPlace = new Map<string, Correction>()
  const abort = new AbortController()
  const name = topicName(prefix, topic)
  const reader = log.reader()

  const take = async (record: LogRecord): Promise<void> => {
    if (record.value === null) return
    if (codec.writerOf(record.value) === undefined) await codec.learn(record.value)
    const { type, data } = codec.event(record, name, 0)
    const { place, projection, value } = data as { place: string; projection: string; value?: string }
    const correction: Correction =
      type === 'event_discarded'
        ? { decision: 'discarded' }
        : { decision: 'edited', value: Buffer.from(value ?? '', 'base64') }
    byPlace.set(`${projection}/${place}`, correction)
  }

  const bounds = await log.bounds(name)
  const starts = bounds.map(({ partition, start, end }) => {
    const caughtUp = Promise.withResolvers<void>()
    if (start === end) caughtUp.resolve()
    const follow = async (): Promise<void> => {
      for await (const { records } of reader.read(name, partition, start, abort.signal)) {
        for (const record of records) await take(record)
        if (records.at(-1)!.offset + 1 >= end) caughtUp.resolve()
      }
    }
    follow().catch((error: unknown) => {
      caughtUp.reject(error)
      if (!abort.signal.aborted)
        logger.error(
          { error: messageOf(error) },
          'corrections are no longer followed: start this process anew',
        )
    })
    return caughtUp.promise
  })
  try {
    await Promise.all(starts)
  } catch (cause) {
    abort.abort()
    throw new EmbudoError('corrections_unreadable', `${name} cannot be read: ${messageOf(cause)}`, {
      cause,
      retriable: true,
    })
  }

  const keyOf = (reader: string, topicOf: string, partition: number, offset: number): string =>
    `${reader}/${placeOf(prefix, topicOf, partition, offset)}`
  return {
    get size() {
      return byPlace.size
    },
    of: (...place) => byPlace.get(keyOf(...place)),
    learn: (projection, topicOf, partition, offset, correction) =>
      byPlace.set(keyOf(projection, topicOf, partition, offset), correction),
    async [Symbol.asyncDispose]() {
      abort.abort()
      await reader[Symbol.asyncDispose]()
    },
  }
}

/** Where nothing was ever decided. */
export const noCorrections: Corrections = { size: 0, of: () => undefined }
