import { setTimeout as delay } from 'node:timers/promises'
import type { Pool } from 'pg'
import type { Logger } from 'pino'
import type { Consumer } from '../consumer/consumer.ts'
import type { Membership } from '../consumer/membership.ts'
import { readPositions } from '../consumer/positions.ts'
import type { Catalog } from '../define/catalog.ts'
import { EmbudoError, isRetriable, messageOf } from '../define/error.ts'
import type { Log } from '../log/port.ts'
import type { Projection } from './definition.ts'
import type { GenerationKind } from './generation-kind.ts'
import {
  beginGeneration,
  changeGeneration,
  clearError,
  droppable,
  ensureFirstGeneration,
  type Generation,
  listGenerations,
  markDropped,
  retireGeneration,
  sampleProgress,
  wasBegun,
} from './generations.ts'
import { hasCaughtUp, targetOf, verifyGeneration } from './lifecycle.ts'
import type { Pace } from './pace.ts'
import { switchGeneration } from './switch.ts'

export interface ManagerParts {
  readonly log: Log
  readonly pool: Pool
  readonly catalog: Catalog
  readonly prefix: string
  readonly membership: Membership
  readonly logger: Logger
  /** By projection; one that has none is not looked after. */
  readonly kinds: ReadonlyMap<string, GenerationKind>
  readonly pace: Pace
  /** How long a generation that was live stays there to go back to. */
  readonly keepPreviousMs: number
  readonly everyMs?: number
}

export interface ProjectionManager extends AsyncDisposable {
  consumers(): readonly Consumer[]
}

/**
 * Looks every second after the generations of every projection that has a kind. Feeds those that this code can
 * feed, which are those of the definition's own version, unless they are paused. Begins one where the definition's
 * version was raised. One process among all verifies what has caught up, makes it the live one, and drops what is
 * kept no longer. Each projection is looked after by itself: one that fails or takes long holds up no other.
 */
export const startProjections = async (
  projections: readonly Projection[],
  parts: ManagerParts,
): Promise<ProjectionManager> => {
  const { pool, logger, everyMs = 1_000 } = parts
  const managed = projections.flatMap((projection) => {
    const kind = parts.kinds.get(projection.name)
    return kind === undefined ? [] : [new Managed(projection, kind, parts)]
  })
  const stopping = new AbortController()
  const { signal } = stopping
  const underWay = new Map<string, Promise<void>>()

  /** Not a second time while it is under way. */
  const alone = (what: string, of: Managed, work: () => Promise<void>): void => {
    const key = `${what} ${of.name}`
    if (underWay.has(key)) return
    const doing = work()
      .catch((error: unknown) => {
        if (signal.aborted) return
        const problem = { projection: of.name, error: messageOf(error) }
        logger.warn(problem, 'a projection could not be looked after, trying again')
      })
      .finally(() => underWay.delete(key))
    underWay.set(key, doing)
  }

  const look = async (): Promise<void> => {
    const generations = await listGenerations(pool)
    for (const each of managed) {
      const own = generations.filter(({ projection }) => projection === each.name)
      alone('feed', each, () => each.feed(own))
      alone('sample', each, () => each.sample(own))
      alone('decide', each, () => each.decide(own, signal))
    }
  }

  const stop = async (): Promise<void> => {
    stopping.abort()
    await looking
    await Promise.all(underWay.values())
    await Promise.all(managed.map((each) => each.stop()))
  }

  const lookAgain = async (): Promise<void> => {
    for (;;) {
      await delay(everyMs, undefined, { signal }).catch(() => {})
      if (signal.aborted) return
      await look().catch((error: unknown) =>
        logger.warn({ error: messageOf(error) }, 'projections could not be looked after, trying again'),
      )
    }
  }

  let looking: Promise<void> = Promise.resolve()
  try {
    for (const { projection } of managed)
      await ensureFirstGeneration(pool, projection.name, projection.version)
    const generations = await listGenerations(pool)
    const begun = await Promise.allSettled(managed.map((each) => each.feed(generations)))
    for (const outcome of begun) {
      if (outcome.status === 'fulfilled') continue
      // What trying again does not mend is told whoever starts the process.
      if (outcome.reason instanceof EmbudoError && !isRetriable(outcome.reason)) throw outcome.reason
      logger.warn({ error: messageOf(outcome.reason) }, 'a projection could not be started, trying again')
    }
  } catch (error) {
    await stop()
    throw error
  }
  looking = lookAgain()
  return {
    consumers: () => managed.flatMap((each) => each.consumers()),
    [Symbol.asyncDispose]: stop,
  }
}

/** What is done for a generation; each can fail by itself. `follow` is to begin the one of a raised version. */
type Work = 'feed' | 'follow' | 'finish'

/** One projection, with what feeds its generations here. */
class Managed {
  readonly projection: Projection
  readonly #kind: GenerationKind
  readonly #parts: ManagerParts
  readonly #logger: Logger
  readonly #consumers = new Map<number, Consumer>()
  /** How often in a row each kind of work for a generation has failed, by its number. */
  readonly #failures = new Map<number, Map<Work, number>>()

  constructor(projection: Projection, kind: GenerationKind, parts: ManagerParts) {
    this.projection = projection
    this.#kind = kind
    this.#parts = parts
    this.#logger = parts.logger.child({ projection: projection.name })
  }

  get name(): string {
    return this.projection.name
  }

  consumers(): readonly Consumer[] {
    return [...this.#consumers.values()]
  }

  async stop(): Promise<void> {
    await Promise.all(this.consumers().map((consumer) => consumer[Symbol.asyncDispose]()))
  }

  /** Starts and stops what feeds the generations. Throws what went wrong with one once all were tried. */
  async feed(all: readonly Generation[]): Promise<void> {
    const wanted = all.filter(
      ({ projection, version, state, paused }) =>
        projection === this.name && version === this.projection.version && state !== 'retired' && !paused,
    )
    for (const [generation, consumer] of this.#consumers) {
      if (wanted.some((each) => each.generation === generation)) continue
      this.#consumers.delete(generation)
      await consumer[Symbol.asyncDispose]()
    }
    const problems: unknown[] = []
    for (const generation of wanted) {
      try {
        await this.#limit(generation)
        await this.#start(generation)
        await this.#succeeded('feed', generation)
      } catch (error) {
        problems.push(error)
        await this.#failed('feed', generation, error)
      }
    }
    if (problems.length > 0) throw problems[0]
  }

  async #start(generation: Generation): Promise<void> {
    if (this.#consumers.has(generation.generation)) return
    await this.#kind.prepare(generation.generation, generation.state === 'live')
    this.#consumers.set(generation.generation, await this.#kind.start(generation.generation))
  }

  /** What trying again does not mend is shown at once, and what might pass when it has not. */
  async #failed(work: Work, generation: Generation, problem: unknown): Promise<void> {
    const failing = this.#failures.get(generation.generation) ?? new Map<Work, number>()
    this.#failures.set(generation.generation, failing)
    const failures = (failing.get(work) ?? 0) + 1
    failing.set(work, failures)
    const error = messageOf(problem)
    const isLasting = problem instanceof EmbudoError && !isRetriable(problem)
    if ((isLasting || failures >= 3) && generation.error !== error)
      await changeGeneration(this.#parts.pool, generation, { error, errorOf: this.#parts.membership.worker })
  }

  async #succeeded(work: Work, generation: Generation): Promise<void> {
    const failing = this.#failures.get(generation.generation)
    failing?.delete(work)
    if (generation.error === null || (failing?.size ?? 0) > 0) return
    await clearError(this.#parts.pool, generation, this.#parts.membership.worker)
  }

  /** A generation's limit is shared out by how many of its partitions this process feeds. */
  async #limit({ generation, maxPerSecond }: Generation): Promise<void> {
    const { pool, pace } = this.#parts
    if (maxPerSecond === null) return pace.limit(this.name, generation, null)
    const all = (await readPositions(pool, this.name, generation)).length
    const own = this.#consumers.get(generation)?.status().length ?? 0
    pace.limit(this.name, generation, (maxPerSecond * Math.max(1, own)) / Math.max(1, all))
  }

  async sample(all: readonly Generation[]): Promise<void> {
    const building = all.find(({ state }) => state === 'building')
    if (building !== undefined && this.#isOwner()) await sampleProgress(this.#parts.pool, building)
  }

  async decide(all: readonly Generation[], signal: AbortSignal): Promise<void> {
    const { pool, keepPreviousMs } = this.#parts
    const live = all.find(({ state }) => state === 'live')
    const building = all.find(({ state }) => state === 'building')
    const previous = all.find(({ state }) => state === 'previous')
    if (live === undefined) return
    if (building === undefined) await this.#followVersion(live)
    else await this.#succeeded('follow', live)
    if (!this.#isOwner()) return
    const isKept = previous?.previousAt && previous.asOfMs - previous.previousAt.getTime() < keepPreviousMs
    if (previous !== undefined && !isKept) await retireGeneration(pool, previous)
    for (const generation of await droppable(pool, this.name)) {
      await this.#kind.drop(generation)
      await markDropped(pool, this.name, generation)
    }
    if (building === undefined) return
    await this.#finish(live, building, signal)
    await this.#succeeded('finish', building)
  }

  #isOwner(): boolean {
    return this.#parts.membership.ownsDuty(`generations/${this.name}`)
  }

  /**
   * A raised version is rebuilt by itself, once: one that was given up, or gone back from, is not begun again. A
   * process of an older version begins nothing.
   */
  async #followVersion(live: Generation): Promise<void> {
    const { pool } = this.#parts
    const { version } = this.projection
    if (version < live.version) return
    try {
      if (version > live.version && !(await wasBegun(pool, this.name, version))) {
        const target = await targetOf(this.#parts, this.projection)
        const generation = await beginGeneration(pool, this.name, version, target)
        this.#logger.info({ version, generation }, 'a new version: rebuilding')
      }
    } catch (error) {
      // Another process was faster.
      if (error instanceof EmbudoError && error.code === 'rebuild_running') return
      // Told where the projection is shown. What else there is to decide does not wait for it.
      if (this.#failures.get(live.generation)?.has('follow') !== true)
        this.#logger.error({ version, error: messageOf(error) }, 'the new version cannot be rebuilt')
      return await this.#failed('follow', live, error)
    }
    await this.#succeeded('follow', live)
  }

  /** Makes it the live one if it is to become that by itself, has caught up, and was found equal. */
  async #finish(live: Generation, building: Generation, signal: AbortSignal): Promise<void> {
    const { pool } = this.#parts
    const { generation } = building
    if (building.version !== this.projection.version || !building.switchesItself || building.paused) return
    try {
      if (!(await hasCaughtUp(this.#parts, this.projection, building))) return
      if (building.version === live.version) {
        const verified = building.verified ?? (await this.#verify(live, building, signal))
        if (verified.differences > 0) return
      }
      const change = { projection: this.name, from: live.generation, to: generation, kind: this.#kind }
      if ((await switchGeneration(pool, change)) === 'switched')
        this.#logger.info({ generation }, 'the rebuilt generation is live')
    } catch (error) {
      if (!signal.aborted) await this.#failed('finish', building, error)
      throw error
    }
  }

  async #verify(live: Generation, building: Generation, signal: AbortSignal) {
    const verified = await verifyGeneration(this.#parts.pool, this.#kind, live, building, signal)
    const { rows, differences, examples } = verified
    const generations = { live: live.generation, generation: building.generation }
    if (differences === 0) this.#logger.info({ ...generations, rows }, 'the rebuilt generation is equal')
    else {
      const keys = examples.map(({ key }) => key)
      this.#logger.error(
        { ...generations, rows, differences, keys },
        'the rebuilt generation differs: it waits for someone to switch to it, or to drop it',
      )
    }
    return verified
  }
}
