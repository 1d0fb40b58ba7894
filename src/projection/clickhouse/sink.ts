import { setTimeout as sleep } from 'node:timers/promises'
import type { DistinctBatch } from '../../consumer/distinct.ts'
import { type Position, positionMoved, readPositions } from '../../consumer/positions.ts'
import type { Corrections } from '../../dead-letter/correction.ts'
import { lettersToRetry, lettersAhead as readLettersAhead } from '../../dead-letter/retrying.ts'
import type { Codec } from '../../log/codec.ts'
import type { ObserveBatches } from '../../telemetry/observers.ts'
import { lookFor, takeOver } from './fence.ts'
import { type FlushParts, flush } from './flush.ts'
import { Lane, type Taken } from './lane.ts'
import { Payloads } from './payload.ts'
import { RefusedRows } from './refused-rows.ts'
import { Writers } from './writers.ts'

export interface SinkParts extends FlushParts {
  readonly codec: Codec
  readonly corrections: Corrections
  /** Of the last records of a partition: beyond it the partition stops instead of parking more. */
  readonly maxPoisonedShare: number
  /** Called with each batch that is taken; what it returns, once that is committed or has failed. */
  readonly observe?: ObserveBatches
  readonly now?: () => number
  readonly limits?: Partial<SinkLimits>
}

export interface SinkLimits {
  /** What waits for the next flush; beyond it fetching stops. As much again may be on its way. */
  readonly maxRows: number
  readonly maxBytes: number
  /** Between the starts of two flushes, unless as much waits as may. */
  readonly lingerMs: number
  readonly drainMs: number
  /** How often it is asked whether partitions were taken away that have nothing to write. */
  readonly watchMs: number
}

const defaults: SinkLimits = {
  maxRows: 100_000,
  maxBytes: 32 * 1024 * 1024,
  lingerMs: 1_000,
  drainMs: 10_000,
  watchMs: 1_000,
}

export interface SinkStatus {
  readonly partitions: number
  readonly pendingRows: number
  readonly pendingBytes: number
  readonly rowsWritten: number
  readonly flushes: number
}

/**
 * Writes all partitions that this process owns into the tables of one generation. One flush is on its way while
 * the next is collected. `run` is what a consumer drives each partition with.
 */
export class EventSink implements AsyncDisposable {
  readonly #parts: SinkParts
  readonly #limits: SinkLimits
  readonly #now: () => number
  readonly #payloads: Payloads
  readonly #refused = new RefusedRows()
  readonly #lanes = new Set<Lane>()
  readonly #stopping = new AbortController()
  readonly #flushing: Promise<void>
  readonly #watching: Promise<void>
  #arrived = Promise.withResolvers<void>()
  #room = Promise.withResolvers<void>()
  #settled = Promise.withResolvers<void>()
  #rowsWritten = 0
  #flushes = 0

  constructor(parts: SinkParts) {
    this.#parts = parts
    this.#limits = { ...defaults, ...parts.limits }
    this.#now = parts.now ?? Date.now
    this.#payloads = new Payloads(parts.codec)
    this.#flushing = this.#flushUntilStopped()
    this.#watching = this.#watchUntilStopped()
  }

  /** Ends when `signal` aborts; throws, retriable, when the partition has to be taken over again. */
  readonly run = async (
    position: Position,
    batches: AsyncIterable<DistinctBatch>,
    signal: AbortSignal,
  ): Promise<void> => {
    const { pool, codec, prefix, corrections, maxPoisonedShare } = this.#parts
    const held = await takeOver(this.#parts, position, {
      signal,
      drainMs: this.#limits.drainMs,
      now: this.#now,
    })
    const lettersAhead = await readLettersAhead(pool, position)
    if (signal.aborted) return
    const told = { prefix, corrections, maxPoisonedShare }
    const refused = this.#refused.of(position)
    const source = { writers: new Writers(codec), payloads: this.#payloads, refused, ...told }
    const lane = new Lane(position, { held, lettersAhead }, source)
    this.#lanes.add(lane)
    const close = () => lane.close()
    signal.addEventListener('abort', close)
    try {
      await Promise.race([this.#collect(lane, batches), lane.ended])
    } finally {
      signal.removeEventListener('abort', close)
      lane.close()
      this.#lanes.delete(lane)
      // What it had pending is gone: others, and what is left of its own collecting, may wait for that.
      this.#makeRoom()
    }
  }

  status(): SinkStatus {
    const { rows, bytes } = this.#pending()
    return {
      partitions: this.#lanes.size,
      pendingRows: rows,
      pendingBytes: bytes,
      rowsWritten: this.#rowsWritten,
      flushes: this.#flushes,
    }
  }

  /** Waits for the flush that is on its way; what is only pending is read again by whoever comes next. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort()
    this.#arrived.resolve()
    await Promise.all([this.#flushing, this.#watching])
  }

  async #collect(lane: Lane, batches: AsyncIterable<DistinctBatch>): Promise<void> {
    await this.#retryLetters(lane)
    for await (const batch of batches) {
      if (!(await this.#hasRoom(lane))) return
      const observed = this.#parts.observe?.(lane.position.reader, [batch])
      try {
        await lane.learn(batch)
        if (!lane.isOpen) throw positionMoved(lane.position)
        lane.add(batch)
        if (observed !== undefined) lane.observe(observed)
        this.#arrived.resolve()
      } catch (error) {
        observed?.(error)
        // What came before is written all the same.
        while (lane.isOpen && !lane.isSettled) {
          this.#arrived.resolve()
          await Promise.race([this.#settled.promise, lane.ended])
        }
        throw error
      }
    }
  }

  async #retryLetters(lane: Lane): Promise<void> {
    const { position } = lane
    for (let after = -1; await this.#hasRoom(lane); ) {
      const letters = await lettersToRetry(this.#parts.pool, position, after)
      if (letters.length === 0) return
      const offsets = letters.map(({ offset }) => offset)
      await lane.retry(letters, await lookFor(this.#parts, position, offsets))
      this.#arrived.resolve()
      after = offsets.at(-1)!
    }
  }

  /** Waits for room; false where the lane has been closed meanwhile. */
  async #hasRoom(lane: Lane): Promise<boolean> {
    while (lane.isOpen && this.#isFull()) await this.#room.promise
    return lane.isOpen
  }

  async #flushUntilStopped(): Promise<void> {
    const { signal } = this.#stopping
    for (let startedAt = Number.NEGATIVE_INFINITY; !signal.aborted; ) {
      const waitMs = startedAt + this.#limits.lingerMs - this.#now()
      if (![...this.#lanes].some((lane) => lane.hasPending)) await this.#untilArrival()
      else if (waitMs > 0 && !this.#isFull()) await this.#untilArrival(waitMs)
      else {
        startedAt = this.#now()
        await this.#flushPending()
      }
    }
  }

  async #untilArrival(withinMs?: number): Promise<void> {
    this.#arrived = Promise.withResolvers()
    if (withinMs === undefined) return this.#arrived.promise
    const waited = new AbortController()
    await Promise.race([
      this.#arrived.promise,
      sleep(withinMs, undefined, { signal: waited.signal }).catch(() => {}),
    ])
    waited.abort()
  }

  async #flushPending(): Promise<void> {
    const taken = [...this.#lanes]
      .map((lane) => lane.take())
      .filter((part): part is Taken => part !== undefined)
    this.#makeRoom()
    const memory = { refused: this.#refused, signal: this.#stopping.signal }
    try {
      for (const { lane, position, rows, observed } of await flush(taken, this.#parts, memory)) {
        lane.moved(position)
        for (const part of rows.values()) this.#rowsWritten += part.count
        for (const hear of observed) hear()
      }
      this.#flushes++
    } catch (error) {
      for (const { lane, observed } of taken) {
        lane.fail(error)
        for (const hear of observed) hear(error)
      }
    }
    this.#settled.resolve()
    this.#settled = Promise.withResolvers()
  }

  /**
   * A partition whose epoch was raised is let go, and taken over again by whoever owns it: a letter of it may be
   * waiting to be retried. One that writes is told so by its flush; this is for those where nothing comes in.
   */
  async #watchUntilStopped(): Promise<void> {
    const { signal } = this.#stopping
    while (!signal.aborted) {
      await sleep(this.#limits.watchMs, undefined, { signal }).catch(() => {})
      const [any] = this.#lanes
      if (any === undefined || signal.aborted) continue
      const { reader, generation } = any.position
      const before = [...this.#lanes].map((lane) => ({ lane, position: lane.position }))
      // Where Postgres is away, the next look will tell.
      const stored = await readPositions(this.#parts.pool, reader, generation).catch(() => [])
      const now = new Map(stored.map((position) => [`${position.topic}:${position.partition}`, position]))
      for (const { lane, position } of before) {
        const found = now.get(`${position.topic}:${position.partition}`)
        if (found === undefined || lane.isInFlight || !lane.isOpen) continue
        // Raised by somebody else, or lost with Postgres's tail: see consumer/tail-watch.ts.
        const isMoved = found.epoch > position.epoch || found.nextOffset < position.nextOffset
        if (isMoved) lane.fail(positionMoved(position))
      }
    }
  }

  #makeRoom(): void {
    this.#room.resolve()
    this.#room = Promise.withResolvers()
  }

  #isFull(): boolean {
    const { rows, bytes } = this.#pending()
    return rows >= this.#limits.maxRows || bytes >= this.#limits.maxBytes
  }

  #pending(): { rows: number; bytes: number } {
    let [rows, bytes] = [0, 0]
    for (const lane of this.#lanes) {
      const pending = lane.pending()
      rows += pending.rows
      bytes += pending.bytes
    }
    return { rows, bytes }
  }
}
