import { setTimeout as delay } from 'node:timers/promises'
import type { Pool } from 'pg'
import type { Logger } from 'pino'
import { EmbudoError, isRetriable, messageOf } from '../define/error.ts'
import type { Log, LogBatch, LogReader, PartitionBounds } from '../log/port.ts'
import { verifyMark } from './mark.ts'
import type { Membership } from './membership.ts'
import { type PartitionOf, type Position, raiseEpoch } from './positions.ts'
import { type PartitionStatus, reportStatus } from './status.ts'

export type { PartitionStatus } from './status.ts'

export interface ConsumerOptions {
  /** `lead_profile`, `events`, `saga:enrollment` */
  readonly reader: string
  readonly generation: number
  /** The broker's names. */
  readonly topics: readonly string[]
  /**
   * Runs one partition that this process owns, until `signal` aborts or it throws. Called anew after each
   * take-over and after each retriable error, with a position that is fresh: its epoch was just raised, and its
   * mark was found in the log. An error that is not retriable stops the partition, and its status says why.
   */
  readonly run: (position: Position, batches: AsyncIterable<LogBatch>, signal: AbortSignal) => Promise<void>
}

export interface ConsumerParts {
  readonly log: Log
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

/** A process reads dozens of partitions for each reader: this is what each may have fetched ahead. */
const partitionBufferBytes = 1024 * 1024

/** Runs `run` for each partition that this process owns, for as long as it owns it. */
export const startConsumer = async (options: ConsumerOptions, parts: ConsumerParts): Promise<Consumer> => {
  const { log, membership } = parts
  const logger = parts.logger.child({ reader: options.reader, generation: options.generation })
  const all = await partitionsOf(log, options)
  const reader = log.reader({ maxBufferedBytes: partitionBufferBytes })
  const running = new Map<string, Running>()
  let stopped = false

  const settle = (): void => {
    for (const of of all) {
      const key = `${of.topic}:${of.partition}`
      const owned = !stopped && membership.owns(of.reader, of.topic, of.partition)
      const task = running.get(key)
      if (owned && task === undefined) {
        const started = superviseTask(of, options.run, { ...parts, logger, reader })
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

  return {
    reader: options.reader,
    generation: options.generation,
    status: () => [...running.values()].map((task) => task.status()),
    async [Symbol.asyncDispose]() {
      stopped = true
      unsubscribe()
      const tasks = [...running.values()]
      for (const task of tasks) task.abort.abort()
      await Promise.all(tasks.map((task) => task.done))
      await reader[Symbol.asyncDispose]()
    },
  }
}

interface Running {
  readonly abort: AbortController
  readonly done: Promise<void>
  status(): PartitionStatus
}

/** Takes the partition, runs it, and after a passing fault waits and takes it again. Never rejects. */
const superviseTask = (
  of: PartitionOf,
  run: ConsumerOptions['run'],
  parts: ConsumerParts & { readonly reader: LogReader },
): Running => {
  const abort = new AbortController()
  const { signal } = abort
  const random = parts.random ?? Math.random
  let status: PartitionStatus = { ...of, state: 'starting', error: undefined }
  const become = (state: PartitionStatus['state'], error?: unknown): void => {
    status = { ...of, state, error: error === undefined ? undefined : messageOf(error) }
    reportStatus(parts.pool, parts.membership.worker, status).catch(() => {})
  }

  const attempt = async (): Promise<void> => {
    const position = await takeOver(parts, of, signal)
    become('running')
    const ending = new AbortController()
    const ends = AbortSignal.any([signal, ending.signal])
    const batches = parts.reader
      .read(of.topic, of.partition, position.nextOffset, ends)
      [Symbol.asyncIterator]()
    try {
      await run(position, { [Symbol.asyncIterator]: () => batches }, ends)
    } finally {
      // The reader reads a partition once at a time: the next attempt begins when this reading has ended.
      ending.abort()
      await batches.return?.()
    }
  }

  const supervise = async (): Promise<void> => {
    for (let failures = 0; !signal.aborted; failures++) {
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
  return { abort, done: supervise(), status: () => status }
}

const takeOver = async (
  { pool, log, reader }: ConsumerParts & { readonly reader: LogReader },
  of: PartitionOf,
  signal: AbortSignal,
): Promise<Position> => {
  const { start } = await boundsOf(log, of)
  const position = await raiseEpoch(pool, of, start)
  // Asked again: until the epoch was raised, another could move the position past the end that was seen before.
  await verifyMark(position, await boundsOf(log, of), reader, signal)
  return position
}

const boundsOf = async (log: Log, of: PartitionOf): Promise<PartitionBounds> => {
  const bounds = (await log.bounds(of.topic)).find((candidate) => candidate.partition === of.partition)
  if (bounds === undefined) {
    throw new EmbudoError('partition_missing', `${of.topic} has no partition ${of.partition}`, {
      facts: { ...of },
    })
  }
  return bounds
}

const partitionsOf = async (
  log: Log,
  { reader, generation, topics }: ConsumerOptions,
): Promise<PartitionOf[]> => {
  const bounds = await Promise.all(topics.map((topic) => log.bounds(topic)))
  return topics.flatMap((topic, index) =>
    bounds[index]!.map(({ partition }): PartitionOf => ({ reader, generation, topic, partition })),
  )
}

/** Postgres's and the system's own errors of lost connections; ours say it themselves. */
const isPassing = (error: unknown): boolean => {
  if (error instanceof EmbudoError) return isRetriable(error)
  const code = (error as { code?: unknown } | null)?.code
  if (typeof code === 'string') {
    return (
      /^(08|40|53|55P03|57|58)/.test(code) ||
      /^(ECONN|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN)/.test(code)
    )
  }
  return /connection|terminat|timeout|socket/i.test(messageOf(error))
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
