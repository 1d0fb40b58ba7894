import { setTimeout as delay } from 'node:timers/promises'
import { topicName } from '../define/catalog.ts'
import { EmbudoError, isRetriable, messageOf } from '../define/error.ts'
import type { TopicDefinition } from '../define/topic.ts'
import { type Codec, schemaIdOf } from '../log/codec.ts'
import type { Log, LogRecord } from '../log/port.ts'
import type { Correction, Corrections } from './correction.ts'

export interface CorrectionParts {
  readonly log: Log
  readonly codec: Codec
  /** Of the topics' names. */
  readonly prefix: string
  /** Where decisions stand. */
  readonly topic: TopicDefinition
  readonly logger: Record<'warn' | 'error', (facts: object, message: string) => void>
  /** How long nothing may come of reading what is there. Default: 30 s. */
  readonly patienceMs?: number
  /** After so long without a successful reading, what is known counts as unknown. Default: 10 s. */
  readonly lastingMs?: number
}

export interface FollowedCorrections extends Corrections, AsyncDisposable {
  /** What this process has put into the log itself, before its own reading of the log brings it. */
  learn(reader: string, topic: string, partition: number, offset: number, correction: Correction): void
  /** Resolves when all that is in the log by now is known. Throws `corrections_unknown` (retriable). */
  upToDate(): Promise<void>
  /** Why decisions are not known, in a sentence, where they have not been readable for a while. */
  concern(): string | undefined
  /** Records of the topic that are no decisions, passed over. */
  readonly unreadable: number
}

/** Where a record stands, as corrections name it: without the prefix of this installation's topics. */
export const placeOf = (prefix: string, topic: string, partition: number, offset: number): string =>
  `${topic.startsWith(prefix) ? topic.slice(prefix.length) : topic}:${partition}:${offset}`

/**
 * Reads every decision that the log has, then follows it: whatever fails is tried again from where it stood. A reader
 * that starts afterwards meets a corrected record corrected, so a rebuild comes to what the model has come to. Of
 * several decisions about a record the last one stands: nobody can decide about a record again once it is settled (see
 * decide.ts). Throws `topic_unknown`, `corrections_unreadable` (retriable).
 */
export const readCorrections = async ({
  log,
  codec,
  prefix,
  topic,
  logger,
  patienceMs = 30_000,
  lastingMs = 10_000,
}: CorrectionParts): Promise<FollowedCorrections> => {
  const byPlace = new Map<string, Correction>()
  const abort = new AbortController()
  const name = topicName(prefix, topic)
  const reader = log.reader()
  /** By partition, the first offset that is not known. */
  const reached = new Map<number, number>()
  const failing = new Map<number, { readonly sinceMs: number; readonly error: string }>()
  let unreadable = 0
  let moved = Promise.withResolvers<void>()

  const take = async (record: LogRecord, partition: number): Promise<void> => {
    try {
      const read = await correctionIn(record, codec, name, partition)
      if (read !== undefined) byPlace.set(`${read.projection}/${read.place}`, read.correction)
    } catch (error) {
      // A registry that is away says nothing about the record.
      if (isRetriable(error)) throw error
      unreadable++
      const at = { topic: name, partition, offset: record.offset, error: messageOf(error) }
      logger.error(at, 'a record among the corrections is no decision that can be read, and is passed over')
    }
  }

  const recovered = (partition: number): void => {
    if (failing.delete(partition)) logger.warn({ topic: name, partition }, 'corrections are followed again')
  }

  /** Where nothing new comes, only the log's end tells that reading goes on. */
  const probe = async (partition: number, signal: AbortSignal): Promise<void> => {
    while (failing.has(partition)) {
      await delay(Math.min(1_000, lastingMs), undefined, { signal }).catch(() => {})
      if (signal.aborted) return
      const bounds = (await log.bounds(name).catch(() => [])).find((each) => each.partition === partition)
      if (!signal.aborted && bounds?.end === reached.get(partition)) recovered(partition)
    }
  }

  const followOnce = async (partition: number): Promise<void> => {
    const ending = new AbortController()
    const probing = probe(partition, ending.signal)
    try {
      for await (const { records } of reader.read(name, partition, reached.get(partition)!, abort.signal)) {
        for (const record of records) {
          await take(record, partition)
          reached.set(partition, record.offset + 1)
        }
        recovered(partition)
        moved.resolve()
        moved = Promise.withResolvers()
      }
    } finally {
      ending.abort()
      await probing
    }
  }

  const follow = async (partition: number): Promise<void> => {
    for (let failures = 0; !abort.signal.aborted; failures++) {
      const before = reached.get(partition)
      try {
        await followOnce(partition)
        return
      } catch (error) {
        if (abort.signal.aborted) return
        if (reached.get(partition) !== before) failures = 0
        const sinceMs = failing.get(partition)?.sinceMs ?? performance.now()
        failing.set(partition, { sinceMs, error: messageOf(error) })
        logger.warn(
          { topic: name, partition, error: messageOf(error) },
          'corrections cannot be read, trying again',
        )
        await delay(Math.min(5_000, 50 * 2 ** failures), undefined, { signal: abort.signal }).catch(() => {})
      }
    }
  }

  const until = async (
    ends: readonly { readonly partition: number; readonly end: number }[],
  ): Promise<void> => {
    while (ends.some(({ partition, end }) => (reached.get(partition) ?? 0) < end)) {
      const waited = new AbortController()
      const signal = AbortSignal.any([abort.signal, waited.signal])
      const late = delay(patienceMs, true, { signal }).catch(() => true)
      const isLate = await Promise.race([moved.promise.then(() => false), late])
      waited.abort()
      if (isLate) throw unknown([...failing.values()][0]?.error ?? 'nothing comes of reading it')
    }
  }

  const unknown = (why: string): EmbudoError =>
    new EmbudoError('corrections_unknown', `what was decided about dead letters cannot be read: ${why}`, {
      facts: { topic: name },
      retriable: true,
    })

  const lasting = (): string | undefined => {
    if (failing.size === 0) return undefined
    const since = performance.now() - lastingMs
    return [...failing.values()].find(({ sinceMs }) => sinceMs <= since)?.error
  }

  const keyOf = (projection: string, topicOf: string, partition: number, offset: number): string =>
    `${projection}/${placeOf(prefix, topicOf, partition, offset)}`

  let running: Promise<unknown> = Promise.resolve()
  const close = async (): Promise<void> => {
    abort.abort()
    await reader[Symbol.asyncDispose]()
    await running
  }
  try {
    const bounds = await log.bounds(name)
    for (const { partition, start } of bounds) reached.set(partition, start)
    running = Promise.all(bounds.map(({ partition }) => follow(partition)))
    await until(bounds)
  } catch (cause) {
    await close()
    if (!(cause instanceof EmbudoError) || cause.code !== 'corrections_unknown') throw cause
    throw new EmbudoError('corrections_unreadable', `${name} cannot be read: ${cause.message}`, {
      cause,
      retriable: true,
    })
  }

  return {
    get size() {
      return lasting() === undefined ? byPlace.size : Math.max(1, byPlace.size)
    },
    get unreadable() {
      return unreadable
    },
    of(...place) {
      const why = lasting()
      if (why !== undefined) throw unknown(why)
      return byPlace.get(keyOf(...place))
    },
    learn: (projection, topicOf, partition, offset, correction) =>
      byPlace.set(keyOf(projection, topicOf, partition, offset), correction),
    async upToDate() {
      try {
        await until(await log.bounds(name))
      } catch (error) {
        throw error instanceof EmbudoError && error.code === 'corrections_unknown'
          ? error
          : unknown(messageOf(error))
      }
    },
    concern() {
      const why = lasting()
      return why === undefined
        ? undefined
        : `${name} cannot be read (${why}): what needs the decisions about dead letters waits`
    },
    [Symbol.asyncDispose]: close,
  }
}

/** Undefined where it says nothing. Throws where it is no decision; retriable where that cannot be told. */
const correctionIn = async (
  record: LogRecord,
  codec: Codec,
  topic: string,
  partition: number,
): Promise<
  { readonly projection: string; readonly place: string; readonly correction: Correction } | undefined
> => {
  if (record.value === null) return undefined
  if (schemaIdOf(record.value) < 0)
    throw new EmbudoError('record_malformed', 'it is not in Confluent framing')
  if (codec.writerOf(record.value) === undefined) await codec.learn(record.value)
  const { type, data } = codec.event(record, topic, partition)
  const { place, projection, value } = data as { place: string; projection: string; value?: string }
  const id = record.header('ce_id') ?? `${topic}:${partition}:${record.offset}`
  if (type === 'event_discarded') return { place, projection, correction: { id, decision: 'discarded' } }
  if (type === 'event_edited') {
    const edited = Buffer.from(value ?? '', 'base64')
    return { place, projection, correction: { id, decision: 'edited', value: edited } }
  }
  throw new EmbudoError('record_malformed', `${type} is no decision`)
}

/** Where nothing was ever decided. */
export const noCorrections: Corrections = { size: 0, of: () => undefined }
