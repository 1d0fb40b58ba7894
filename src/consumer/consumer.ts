import { setTimeout as delay } from 'node:timers/promises'
import type { Pool } from 'pg'
import type { Logger } from 'pino'
import { topicName } from '../define/catalog.ts'
import { messageOf } from '../define/error.ts'
import { duplicatesWithin, type TopicDefinition } from '../define/topic.ts'
import type { Log } from '../log/port.ts'
import { boundsOf } from './bounds.ts'
import type { DistinctBatch } from './distinct.ts'
import type { Feeds } from './feeds.ts'
import { verifyMark } from './mark.ts'
import type { Membership } from './membership.ts'
import { isPassing } from './passing.ts'
import { type PartitionOf, type Position, raiseEpoch } from './positions.ts'
import { type PartitionStatus, statusReports } from './status.ts'
import { type Watched, watchTail } from './tail-watch.ts'
import { keepTopicConstants, type TopicConstants } from './topic-constants.ts'

export type { PartitionStatus } from './status.ts'

export interface ConsumerOptions {
  /** `lead_profile`, `events`, `saga:enrollment` */
  readonly reader: string
  readonly generation: number
  readonly topics: readonly TopicDefinition[]
  /**
   * Runs one partition that this process owns, until `signal` aborts or it throws. Called anew after each
   * take-over and after each retriable error, with a position that is fresh: its epoch was just raised, and its
   * mark was found in the log. Duplicates are dropped already. An error that is not retriable stops the partition, and
   * its status says why. `stands` is told of each position that was committed without waiting for the disk: see
   * tail-watch.ts.
   */
  readonly run: (
    position: Position,
    batches: AsyncIterable<DistinctBatch>,
    signal: AbortSignal,
    stands: (position: Position) => void,
  ) => Promise<void>
}

export interface ConsumerParts {
  readonly log: Log
  /** One for all readers of the process. */
  readonly feeds: Feeds
  /** Of the topics' names. */
  readonly prefix: string
  readonly pool: Pool
  readonly membership: Membership
  readonly logger: Logger
  readonly random?: () => number
}

export interface Consumer extends AsyncDisposable {
  readonly reader: string
  readonly generation: number
  status(): PartitionStatus[]
}

/** Runs `run` for each partition that this process owns, for as long as it owns it. */
export const startConsumer = async (options: ConsumerOptions, parts: ConsumerParts): Promise<Consumer> => {
  const { log, membership } = parts
  const logger = parts.logger.child({ reader: options.reader, generation: options.generation })
  const topics = options.topics.map((topic) => ({
    name: topicName(parts.prefix, topic),
    duplicatesWithin: duplicatesWithin(topic),
  }))
  await keepTopicConstants(parts.pool, topics)
  const all = await partitionsOf(log, options, topics)
  const running = new Map<string, Running>()
  let stopped = false

  const settle = (): void => {
    for (const { of, topic } of all) {
      const key = `${of.topic}:${of.partition}`
      const owned = !stopped && membership.owns(of.topic, of.partition)
      const task = running.get(key)
      if (owned && task === undefined) {
        const started = superviseTask(of, topic, options.run, { ...parts, logger })
        running.set(key, started)
        // A partition given up and taken back while its last batch still ends starts again here.
        void started.done.then(() => {
          running.delete(key)
          settle()
        })
      } else if (!owned && task !== undefined) task.abort.abort()
    }
  }

  const unsubscribe = membership.onChange(settle)
  settle()
  const { reader, generation } = options
  const watch = watchTail(parts.pool, reader, generation, () => running.values())

  return {
    reader,
    generation,
    status: () => [...running.values()].map((task) => task.status()),
    async [Symbol.asyncDispose]() {
      stopped = true
      unsubscribe()
      const tasks = [...running.values()]
      for (const task of tasks) task.abort.abort()
      await Promise.all([watch[Symbol.asyncDispose](), ...tasks.map((task) => task.done)])
    },
  }
}

interface Running extends Watched {
  readonly abort: AbortController
  readonly done: Promise<void>
  status(): PartitionStatus
}

/** Takes the partition, runs it, and after a passing fault waits and takes it again. Never rejects. */
const superviseTask = (
  of: PartitionOf,
  topic: TopicConstants,
  run: ConsumerOptions['run'],
  parts: ConsumerParts,
): Running => {
  const abort = new AbortController()
  const { signal } = abort
  const random = parts.random ?? Math.random
  let status: PartitionStatus = { ...of, state: 'starting', error: undefined }
  const report = statusReports(parts.pool, parts.membership.worker, signal)
  const become = (state: PartitionStatus['state'], error?: unknown): void => {
    status = { ...of, state, error: error === undefined ? undefined : messageOf(error) }
    report(status)
  }

  let failures = 0
  let reached = 0
  let stands: Position | undefined
  let interrupt: (why: Error) => void = () => {}
  const attempt = async (): Promise<void> => {
    const position = await takeOver(parts, of, signal)
    // Connections that are lost again and again hold nobody up who gets on in between.
    if (position.nextOffset > reached) failures = 0
    reached = position.nextOffset
    become('running')
    const ending = new AbortController()
    const ends = AbortSignal.any([signal, ending.signal])
    let interrupted: Error | undefined
    interrupt = (why) => {
      interrupted = why
      ending.abort()
    }
    const batches = parts.feeds.read(topic, of.partition, position.nextOffset, ends)
    try {
      await run(position, batches, ends, (committed) => {
        stands = committed
      })
    } finally {
      stands = undefined
      ending.abort()
      await batches.return()
    }
    if (interrupted !== undefined) throw interrupted
  }

  const supervise = async (): Promise<void> => {
    for (; !signal.aborted; failures++) {
      const startedAt = performance.now()
      try {
        await attempt()
      } catch (error) {
        if (signal.aborted) return
        if (!isPassing(error)) {
          parts.logger.error({ ...of, err: error }, 'partition stopped: it cannot go on by itself')
          become('failed', error)
          await aborted(signal)
          return
        }
        if (performance.now() - startedAt > 30_000) failures = 0
        parts.logger.warn({ ...of, error: messageOf(error) }, 'partition interrupted, it is taken again')
        become('waiting', error)
        const waitMs = Math.min(5_000, 50 * 2 ** failures) * (0.5 + random() / 2)
        await delay(waitMs, undefined, { signal }).catch(() => {})
      }
    }
  }
  return {
    abort,
    done: supervise(),
    status: () => status,
    get stands() {
      return stands
    },
    interrupt: (why) => interrupt(why),
  }
}

const takeOver = async (
  { pool, log, feeds }: ConsumerParts,
  of: PartitionOf,
  signal: AbortSignal,
): Promise<Position> => {
  const position = await raiseEpoch(pool, of, (await boundsOf(log, of.topic, of.partition)).start)
  // Asked again: until the epoch was raised, another could move the position past the end that was seen before.
  const bounds = await boundsOf(log, of.topic, of.partition)
  await verifyMark(position, bounds, feeds.single, signal)
  return position
}

const partitionsOf = async (
  log: Log,
  { reader, generation }: ConsumerOptions,
  topics: readonly TopicConstants[],
): Promise<{ readonly of: PartitionOf; readonly topic: TopicConstants }[]> => {
  const partitions = await Promise.all(
    topics.map(async (topic) =>
      (await log.bounds(topic.name)).map(({ partition }) => ({
        of: { reader, generation, topic: topic.name, partition },
        topic,
      })),
    ),
  )
  return partitions.flat()
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
