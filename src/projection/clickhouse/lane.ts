import type { DistinctBatch } from '../../consumer/distinct.ts'
import { markOf } from '../../consumer/mark.ts'
import { type Advance, type Position, positionMoved } from '../../consumer/positions.ts'
import type { Correction, Corrections } from '../../dead-letter/correction.ts'
import { discardedLetter, letterOf, type NewLetter } from '../../dead-letter/letters.ts'
import { PoisonShare } from '../../dead-letter/poison-share.ts'
import type { RetriedLetter, Settlement } from '../../dead-letter/retrying.ts'
import { type EventDefinition, topicName } from '../../define/catalog.ts'
import { EmbudoError, isRetriable } from '../../define/error.ts'
import { timeMsOf } from '../../log/codec.ts'
import type { LogRecord } from '../../log/port.ts'
import { Rows } from './container.ts'
import { Held, type Runs } from './held.ts'
import type { Payloads } from './payload.ts'
import { Pending } from './pending.ts'
import type { RefusedHere } from './refused-rows.ts'
import type { Writers } from './writers.ts'

/** What a flush takes from one partition: its rows by event, and where its position then stands. */
export interface Taken {
  readonly lane: Lane
  readonly position: Position
  readonly to: Advance
  readonly rows: ReadonlyMap<EventDefinition, Rows>
  /** Records that could not become rows. */
  readonly parked: readonly NewLetter[]
  /** What became of letters that were retried. */
  readonly settled: Settlement
  /** To be told when what was taken is committed, or why it is not. */
  readonly observed: readonly Observed[]
}

export type Observed = (error?: unknown) => void

/**
 * One partition on its way into the tables, from a take-over to the next: rows collected and not yet flushed,
 * encoded at once so that fetched bytes are let go. It ends when a flush that it took part in fails: what is in
 * the tables is then known again only after another look.
 *
 * A record that can never be a row is parked as a dead letter with the flush, and no other waits for it: rows do
 * not depend on one another.
 */
export class Lane {
  position: Position
  /** Resolves when it is closed, rejects when the partition has to be taken over again. */
  readonly ended: Promise<void>
  readonly #end: PromiseWithResolvers<void>
  readonly #held: Held
  readonly #ahead: ReadonlyMap<number, string>
  readonly #source: LaneSource
  readonly #share: PoisonShare
  #pending = new Pending()
  #observed: Observed[] = []
  #isOpen = true
  #isInFlight = false

  constructor(position: Position, found: Found, source: LaneSource) {
    this.position = position
    this.#held = new Held(found.held)
    this.#ahead = found.lettersAhead
    this.#source = source
    this.#share = new PoisonShare(position.reader, source.maxPoisonedShare)
    this.#end = Promise.withResolvers()
    this.ended = this.#end.promise
    this.ended.catch(() => {})
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  get isInFlight(): boolean {
    return this.#isInFlight
  }

  get hasPending(): boolean {
    return !this.#pending.isEmpty
  }

  /** Nothing is pending, and nothing on its way. */
  get isSettled(): boolean {
    return this.#pending.isEmpty && !this.#isInFlight
  }

  pending(): { readonly rows: number; readonly bytes: number } {
    return this.#pending.size()
  }

  /** Before `add`. Throws what passes, such as a registry that is away. */
  async learn({ records }: DistinctBatch): Promise<void> {
    const { writers, corrections } = this.#source
    for (const { value, offset } of records) {
      if (!writers.knows(value)) await writers.learn(value!)
      if (corrections.size === 0) continue
      const correction = this.#correctionOf(offset)
      if (correction?.decision === 'edited' && !writers.knows(correction.value))
        await writers.learn(correction.value)
    }
  }

  /** Takes a batch whole; throws `too_many_poisoned`, and then takes nothing of it. */
  add({ records, last, duplicates, markers }: DistinctBatch): void {
    const pending = this.#pending
    const forget = pending.bookmark()
    let applied = 0
    let poisoned = 0
    for (const record of records) {
      const { offset } = record
      try {
        if (!this.#held.has(offset)) {
          const correction = this.#correctionOf(offset)
          if (correction?.decision === 'discarded') {
            pending.park(detached(discardedLetter(record)))
            continue
          }
          this.#addRow(record, correction === undefined ? record.value : correction.value)
        }
        applied++
        this.#settleAhead(offset)
      } catch (error) {
        if (isRetriable(error)) {
          forget()
          throw error
        }
        poisoned++
        pending.park(this.#letterOf(record, error))
        this.#settleAhead(offset, error)
      }
    }
    try {
      this.#share.note(records.length, poisoned)
    } catch (error) {
      forget()
      throw error
    }
    pending.counts.applied += applied
    pending.counts.deadLettered += records.length - applied
    pending.counts.duplicates += duplicates
    pending.counts.markers += markers
    pending.to = { nextOffset: last.offset + 1, mark: markOf(last) }
  }

  /** Takes letters of records before the position. `held`: offsets of theirs that the tables hold already. */
  async retry(letters: readonly RetriedLetter[], held: ReadonlySet<number>): Promise<void> {
    const { writers } = this.#source
    for (const { value } of letters) if (!writers.knows(value)) await writers.learn(value!)
    const { settled, counts } = this.#pending
    for (const letter of letters) {
      try {
        if (!held.has(letter.offset)) this.#addRow(letter, letter.value)
        settled.applied.push(letter.id)
        counts.applied++
        counts.deadLettered--
      } catch (error) {
        settled.failed.push({ id: letter.id, error })
      }
    }
  }

  /** Hears of what was added with the flush that takes it. */
  observe(observed: Observed): void {
    this.#observed.push(observed)
  }

  take(): Taken | undefined {
    if (!this.#isOpen || this.#pending.isEmpty) return undefined
    const { rows, parked, settled, counts, to = this.position } = this.#pending
    const observed = this.#observed
    this.#pending = new Pending()
    this.#observed = []
    this.#isInFlight = true
    const advance = { nextOffset: to.nextOffset, mark: to.mark, counts }
    return { lane: this, position: this.position, to: advance, rows, parked, settled, observed }
  }

  moved(position: Position): void {
    this.position = position
    this.#isInFlight = false
  }

  /** What is pending is let go: whoever takes the partition next reads it again. */
  close(): void {
    this.#isOpen = false
    const unwritten = this.#observed.splice(0)
    for (const observed of unwritten) observed(positionMoved(this.position))
    this.#pending = new Pending()
    this.#end.resolve()
  }

  fail(error: unknown): void {
    // The message should name this partition, not the one of the flush that was moved.
    const isMoved = error instanceof EmbudoError && error.code === 'position_moved'
    this.#end.reject(isMoved ? positionMoved(this.position) : error)
    this.close()
  }

  /** Throws, and adds nothing, where `value` can never be a row. */
  #addRow(record: Pick<LogRecord, 'offset' | 'timestamp' | 'header'>, value: Buffer | null): void {
    const { topic, partition } = this.position
    const { writers, payloads, refused } = this.#source
    const writer = writers.of(value)
    const rows = this.#pending.rows.get(writer.event) ?? this.#newRows(writer.event)
    const { bytes, from } = payloads.of(writer, value!)
    refused.check(record.offset, bytes, from)
    const row = {
      id: record.header('ce_id') ?? `${topic}:${partition}:${record.offset}`,
      timeMs: timeMsOf(record),
      appendedAtMs: record.timestamp,
      source: record.header('ce_source') ?? topic,
      partition,
      offset: record.offset,
    }
    rows.add(row, bytes, from)
  }

  #newRows(event: EventDefinition): Rows {
    // A table's rows say one topic; a look in this one would never find a row of another.
    if (topicName(this.#source.prefix, event.topic) !== this.position.topic) {
      throw new EmbudoError('record_malformed', `${event.type} does not belong on ${this.position.topic}`)
    }
    const rows = new Rows()
    this.#pending.rows.set(event, rows)
    return rows
  }

  #letterOf(record: LogRecord, error: unknown): NewLetter {
    const type = this.#source.writers.typeOf(record.value) ?? record.header('ce_type')
    return detached(letterOf(record, type, error))
  }

  #correctionOf(offset: number): Correction | undefined {
    const { corrections } = this.#source
    if (corrections.size === 0) return undefined
    const { reader, topic, partition } = this.position
    return corrections.of(reader, topic, partition, offset)
  }

  #settleAhead(offset: number, error?: unknown): void {
    const id = this.#ahead.size === 0 ? undefined : this.#ahead.get(offset)
    if (id === undefined) return
    if (error === undefined) this.#pending.settled.applied.push(id)
    else this.#pending.settled.failed.push({ id, error })
  }
}

/** Copied, since key and value hold on to all that was fetched with them. */
const detached = ({ key, value, ...letter }: NewLetter): NewLetter => ({
  ...letter,
  key: key && Buffer.from(key),
  value: value && Buffer.from(value),
})

/** What a take-over has found of a partition. */
export interface Found {
  /** Offsets at or past the position that the tables hold. */
  readonly held: Runs
  /** Letters at or past the position, by offset: it was set back, and what is read decides about them. */
  readonly lettersAhead: ReadonlyMap<number, string>
}

export interface LaneSource {
  readonly writers: Writers
  readonly payloads: Payloads
  /** What ClickHouse would not take. */
  readonly refused: RefusedHere
  readonly prefix: string
  readonly corrections: Corrections
  readonly maxPoisonedShare: number
}
