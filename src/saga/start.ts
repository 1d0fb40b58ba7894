import { randomUUID } from 'node:crypto'
import type { Pool } from 'pg'
import type { Logger } from 'pino'
import { startConsumer } from '../consumer/consumer.ts'
import { advanceBehind } from '../consumer/distinct.ts'
import type { Feeds } from '../consumer/feeds.ts'
import type { Membership } from '../consumer/membership.ts'
import type { Catalog } from '../define/catalog.ts'
import { EmbudoError } from '../define/error.ts'
import type { SagaDefinition } from '../define/saga.ts'
import type { Codec } from '../log/codec.ts'
import { appendEvents } from '../log/event-appender.ts'
import type { Log } from '../log/port.ts'
import type { ObserveEffect } from '../telemetry/observers.ts'
import type { Appender } from './appender.ts'
import { connectEffects, repeat } from './effects.ts'
import { eventsOfInterest, readerOf, takeIn, topicsOf, typesOfInterest, versionsOf } from './intake.ts'
import { checked } from './load.ts'
import { publishOutbox } from './outbox.ts'
import { Runner } from './runner.ts'
import type { Settled } from './settle.ts'
import { sweepInbox } from './store.ts'
import { Waker } from './waker.ts'

export interface SagaParts {
  readonly sagas: readonly SagaDefinition[]
  readonly pool: Pool
  readonly log: Log
  readonly feeds: Feeds
  readonly codec: Codec
  readonly catalog: Catalog
  /** Of the topics' names. */
  readonly prefix: string
  readonly membership: Membership
  readonly logger: Logger
  /** How long a step waits, in milliseconds, in place of what its definition says: by `<saga>.<step>`. */
  readonly within?: Readonly<Record<string, number>>
  readonly maxInFlight?: number
  readonly leaseMs?: number
  readonly pollMs?: number
  readonly random?: () => number
  readonly now?: () => Date
  readonly newId?: () => string
  readonly onSettled?: (settled: readonly Settled[]) => void
  readonly observe?: ObserveEffect
}

export interface Sagas extends AsyncDisposable {
  status(): { readonly sagas: readonly string[]; readonly inFlight: number }
}

/** Starts everything that sagas need: their effects, the runner, the outbox, and last what feeds them. */
export const startSagas = async (parts: SagaParts): Promise<Sagas> => {
  const { pool, logger, catalog } = parts
  const within = parts.within ?? {}
  const stranger = Object.keys(within).find(
    (key) => !parts.sagas.some(({ name }) => key.startsWith(`${name}.`)),
  )
  if (stranger !== undefined)
    throw new EmbudoError('saga_within', `there is no saga for the time limit ${stranger}`)
  const definitions = parts.sagas.map((definition) => withLimits(checked(definition), within))
  const appender = appenderOf(parts)
  await using stack = new AsyncDisposableStack()

  const stop = new AbortController()
  const outboxWaker = new Waker()
  const outbox = publishLoop(parts, appender, outboxWaker, stop.signal)
  const sweeping = repeat(
    60_000,
    () => sweepInbox(pool, Math.max(...definitions.map((one) => one.deadlineMs))),
    stop.signal,
    logger,
  )
  stack.defer(async () => {
    stop.abort()
    outboxWaker.wake()
    await Promise.all([outbox, sweeping])
  })

  const runnables = []
  for (const definition of definitions) {
    const connected = stack.use(
      await connectEffects(definition.name, definition.effects, {
        pool,
        appender,
        logger,
        now: parts.now ?? (() => new Date()),
        newId: parts.newId ?? randomUUID,
      }),
    )
    runnables.push({ definition, ports: connected.ports })
  }

  const runner = stack.use(
    new Runner({
      pool,
      runnables,
      appender,
      logger,
      random: parts.random ?? Math.random,
      maxInFlight: parts.maxInFlight ?? 256,
      leaseMs: parts.leaseMs ?? 5_000,
      pollMs: parts.pollMs ?? 250,
      observe: parts.observe ?? (() => () => {}),
      onSettled: (settled) => {
        if (settled.some(({ decision }) => decision.emit.length > 0)) outboxWaker.wake()
        parts.onSettled?.(settled)
      },
    }),
  )

  for (const versions of versionsOf(definitions)) {
    const types = typesOfInterest(versions)
    stack.use(
      await startConsumer(
        {
          reader: readerOf(versions),
          generation: 1,
          topics: topicsOf(versions, catalog),
          run: async (position, batches) => {
            for await (const batch of batches) {
              const events = await eventsOfInterest(parts.codec, types, batch)
              const to = advanceBehind([batch], { applied: events.length })
              position = await takeIn(pool, versions, position, events, to)
              if (events.length > 0) runner.wake()
            }
          },
        },
        parts,
      ),
    )
  }

  const started = stack.move()
  return {
    status: () => ({
      sagas: definitions.map(({ name, version }) => `${name}/${version}`),
      inFlight: runner.inFlight,
    }),
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  }
}

const appenderOf = ({ log, codec, catalog, prefix }: SagaParts): Appender => ({
  check: (event) => void codec.encode(event.type, event.data),
  append: appendEvents(log, codec, catalog, prefix),
})

const publishLoop = async (
  parts: SagaParts,
  appender: Appender,
  waker: Waker,
  signal: AbortSignal,
): Promise<void> => {
  const publish = async (): Promise<void> => {
    while ((await publishOutbox(parts.pool, appender, outboxBatch)) === outboxBatch && !signal.aborted) {}
    if (!signal.aborted) await waker.wait(parts.pollMs ?? 250)
  }
  await repeat(0, publish, signal, parts.logger)
}

const outboxBatch = 500

const withLimits = (definition: SagaDefinition, within: Readonly<Record<string, number>>): SagaDefinition => {
  const mine = Object.entries(within).filter(([key]) => key.startsWith(`${definition.name}.`))
  const limits = new Map(mine.map(([key, ms]) => [key.slice(definition.name.length + 1), ms]))
  const steps = definition.steps.map((step) => {
    const withinMs = limits.get(step.name)
    limits.delete(step.name)
    if (withinMs === undefined) return step
    if (step.awaits !== undefined && withinMs > 0) return { ...step, awaits: { ...step.awaits, withinMs } }
    throw new EmbudoError(
      'saga_within',
      `${definition.name}.${step.name} waits for nothing, or ${withinMs} is no time`,
    )
  })
  if (limits.size > 0) {
    throw new EmbudoError(
      'saga_within',
      `saga ${definition.name} has no step ${[...limits.keys()].join(', ')}`,
    )
  }
  return { ...definition, steps }
}
