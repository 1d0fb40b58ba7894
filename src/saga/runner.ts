import { setTimeout as delay } from 'node:timers/promises'
import type { Pool } from 'pg'
import type { Logger } from 'pino'
import { messageOf } from '../define/error.ts'
import type { SagaDefinition } from '../define/saga.ts'
import { transaction } from '../postgres/transaction.ts'
import type { ObserveEffect } from '../telemetry/observers.ts'
import type { Appender } from './appender.ts'
import { attempt } from './attempt.ts'
import type { Input } from './decide.ts'
import type { Run } from './decision.ts'
import type { Saga } from './saga.ts'
import { type Settled, settle, type Told } from './settle.ts'
import { type Claimed, lockClaimed, lockDue, releaseClaims, renewLeases } from './store.ts'
import { Waker } from './waker.ts'

/** A definition with its effects joined to the outside. */
export interface Runnable {
  readonly definition: SagaDefinition
  readonly ports: unknown
}

export interface RunnerOptions {
  readonly pool: Pool
  readonly runnables: readonly Runnable[]
  readonly appender: Pick<Appender, 'check'>
  readonly logger: Logger
  readonly random: () => number
  /** How many calls may run at once in this process. */
  readonly maxInFlight: number
  /** After this a claim that was not renewed is taken over. */
  readonly leaseMs: number
  /** How often to look for work of others when nothing says that there is some. */
  readonly pollMs: number
  /** Told after each transaction. */
  readonly onSettled: (settled: readonly Settled[]) => void
  /** Told as each call or undo begins, and by what it answers, how it went. */
  readonly observe: ObserveEffect
}

/**
 * Claims sagas that are due, runs their calls and undos, and records how these went. The attempt and its undo are
 * committed before a call runs. An outcome and the beginning of the next step are one transaction, under the
 * claim; outcomes that come while one is under way share the next.
 */
export class Runner implements AsyncDisposable {
  readonly #options: RunnerOptions
  readonly #runnables: ReadonlyMap<string, Runnable>
  readonly #inFlight = new Map<string, { readonly claimed: Claimed; readonly abort: AbortController }>()
  readonly #waker = new Waker()
  readonly #renewal: NodeJS.Timeout
  readonly #claiming: Promise<void>
  #outcomes: Told[] = []
  #recording: Promise<void> | undefined
  #isStopping = false

  constructor(options: RunnerOptions) {
    this.#options = options
    this.#runnables = new Map(
      options.runnables.map((one) => [keyOf(one.definition.name, one.definition.version), one]),
    )
    this.#renewal = setInterval(() => void this.#renew(), options.leaseMs / 3)
    this.#claiming = this.#claimLoop()
  }

  get inFlight(): number {
    return this.#inFlight.size
  }

  /** There may be something due. */
  wake(): void {
    this.#waker.wake()
  }

  /** Claims no more, gives what is in flight a moment to end, and lets go of the rest. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopping = true
    this.#waker.wake()
    await this.#claiming
    const deadline = performance.now() + this.#options.leaseMs
    while (this.#inFlight.size > 0 && performance.now() < deadline) {
      await this.#waker.wait(deadline - performance.now())
    }
    const left = [...this.#inFlight.values()]
    this.#inFlight.clear()
    for (const { abort } of left) abort.abort(new Error('stopping'))
    await this.#recording
    clearInterval(this.#renewal)
    if (left.length > 0) {
      await releaseClaims(
        this.#options.pool,
        left.map(({ claimed }) => claimed),
      ).catch(this.#warn('release'))
    }
  }

  async #claimLoop(): Promise<void> {
    const { pollMs, maxInFlight } = this.#options
    while (!this.#isStopping) {
      const room = Math.min(maxBatch, maxInFlight - this.#inFlight.size)
      const claimed = room > 0 ? await this.#claim(room).catch(this.#warn('claim')) : 0
      if (claimed === undefined || claimed < room || room <= 0) await this.#waker.wait(pollMs)
    }
  }

  async #claim(limit: number): Promise<number> {
    const { pool, runnables } = this.#options
    const versions = runnables.map(({ definition }) => ({
      type: definition.name,
      version: definition.version,
    }))
    const settled = await transaction(pool, async (client) => {
      // What this process runs has no other owner, also where Postgres was slower to renew its lease than the lease lasts.
      const locked = await lockDue(client, versions, limit, [...this.#inFlight.keys()])
      const told = locked.map(
        ({ saga, claim }): Told => ({ claimed: { saga, claim: claim + 1 }, input: { is: 'due' } }),
      )
      return settle(client, told, this.#settleParts)
    })
    this.#go(settled)
    return settled.length
  }

  /** What has been stored is acted on. */
  #go(settled: readonly Settled[]): void {
    if (settled.length === 0) return
    for (const { decision, claim, nowMs } of settled) {
      const { saga, run } = decision
      if (run !== undefined) this.#run({ saga, claim }, run)
      else if (saga.dueAtMs !== null) this.#wakeBeforePoll(saga.dueAtMs - nowMs)
      if (saga.state === 'COMPENSATION_FAILED')
        this.#options.logger.error(
          { saga: saga.id, type: saga.type, subject: saga.subject, step: saga.step },
          'saga parked: it waits for an operator',
        )
    }
    this.#options.onSettled(settled)
  }

  /** What is due later than that is found by polling. */
  #wakeBeforePoll(ms: number): void {
    if (ms < this.#options.pollMs) setTimeout(() => this.wake(), Math.max(0, ms)).unref()
  }

  #run(claimed: Claimed, run: Run): void {
    const { saga } = claimed
    const abort = new AbortController()
    this.#inFlight.set(saga.id, { claimed, abort })
    const { ports } = this.#runnables.get(keyOf(saga.type, saga.version))!
    const ended = this.#options.observe({
      saga: saga.type,
      sagaId: saga.id,
      step: run.step.name,
      direction: run.kind,
      attempt: saga.attempt,
      traceparent: saga.start.traceparent,
    })
    void attempt(ports, saga, run, abort.signal).then((input) => {
      if (input.is === 'threw') ended('failed', input.error)
      else ended(input.is === 'refused' ? 'refused' : run.kind === 'undo' ? 'undone' : 'done')
      this.#record(claimed, input)
    })
  }

  #record(claimed: Claimed, input: Input): void {
    // Given up while it ran: somebody else has it now, or will.
    if (this.#inFlight.get(claimed.saga.id)?.claimed !== claimed) return
    this.#outcomes.push({ claimed, input })
    this.#recording ??= this.#recordAll().finally(() => {
      this.#recording = undefined
    })
  }

  async #recordAll(): Promise<void> {
    for (let failures = 0; this.#outcomes.length > 0; ) {
      const told = this.#outcomes.splice(0, maxBatch)
      try {
        await this.#recordBatch(told)
        failures = 0
      } catch (error) {
        this.#warn('record')(error)
        failures++
        const kept = told.filter(({ claimed }) => this.#inFlight.get(claimed.saga.id)?.claimed === claimed)
        this.#outcomes.unshift(...kept)
        if (this.#isStopping && failures > 3) return
        await delay(Math.min(1_000, 20 * 2 ** failures))
      }
    }
  }

  async #recordBatch(told: readonly Told[]): Promise<void> {
    const settled = await transaction(this.#options.pool, async (client) => {
      const ours = await lockClaimed(
        client,
        told.map(({ claimed }) => claimed),
      )
      return settle(
        client,
        told.filter(({ claimed }) => ours.has(claimed.saga.id)),
        this.#settleParts,
      )
    })
    const wasFull = this.#inFlight.size >= this.#options.maxInFlight
    for (const { claimed } of told) this.#inFlight.delete(claimed.saga.id)
    this.#go(settled)
    if (wasFull || this.#isStopping) this.#waker.wake()
  }

  async #renew(): Promise<void> {
    const running = [...this.#inFlight.values()]
    if (running.length === 0) return
    try {
      const ours = await renewLeases(
        this.#options.pool,
        running.map(({ claimed }) => claimed),
        this.#options.leaseMs,
      )
      for (const { claimed, abort } of running) {
        if (ours.has(claimed.saga.id) || this.#inFlight.get(claimed.saga.id)?.claimed !== claimed) continue
        this.#inFlight.delete(claimed.saga.id)
        abort.abort(new Error('another process has taken this saga over'))
      }
    } catch (error) {
      this.#warn('renew')(error)
    }
  }

  get #settleParts() {
    const { appender, random, leaseMs } = this.#options
    return {
      appender,
      random,
      leaseMs,
      definitionOf: (saga: Saga) => this.#runnables.get(keyOf(saga.type, saga.version))!.definition,
    }
  }

  #warn(what: string): (error: unknown) => undefined {
    return (error) => {
      this.#options.logger.warn({ error: messageOf(error) }, `saga runner could not ${what}; it tries again`)
    }
  }
}

/** Sagas a transaction: enough to share its commit, few enough to hold locks only for milliseconds. */
const maxBatch = 200

const keyOf = (type: string, version: number): string => `${type}/${version}`
