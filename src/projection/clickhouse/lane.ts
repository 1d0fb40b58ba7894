import type { DistinctBatch } from '../../consumer/distinct.ts'
import { markOf } from '../../consumer/mark.ts'
import { type Advance, type Position, positionMoved } from '../../consumer/positions.ts'
import { type EventDefinition, topicName } from '../../define/catalog.ts'
import { EmbudoError, messageOf } from '../../define/error.ts'
import { type Codec, schemaIdOf } from '../../log/codec.ts'
import type { LogRecord } from '../../log/port.ts'
import { Rows } from './container.ts'
import { timeMsOf } from './event-time.ts'
import { Held, type Runs } from './held.ts'
import type { Payloads } from './payload.ts'

/** What a flush takes from one partition: its rows by event, and where its position then stands. */
export interface Taken {
  readonly lane: Lane
  readonly position: Position
  readonly to: Advance
  readonly rows: ReadonlyMap<EventDefinition, Rows>
  /** To be told when what was taken is committed, or why it is not. */
  readonly observed: readonly Observed[]
}

export type Observed = (error?: unknown) => void

/**
 * One partition on its way into the tables, from a take-over to the next: rows collected and not yet flushed,
 * encoded at once so that fetched bytes are let go. It ends when a flush that it took part in fails: what is in
 * the tables is then known again only after another look.
 */
export class Lane {
  position: Position
  /** Resolves when it is closed, rejects when the partition has to be taken over again. */
  readonly ended: Promise<void>
  readonly #end: PromiseWithResolvers<void>
  readonly #held: Held
  readonly #source: LaneSource
  #rows = new Map<EventDefinition, Rows>()
  #to: Omit<Advance, 'counts'> | undefined
  #counts = { applied: 0, duplicates: 0, markers: 0 }
  #observed: Observed[] = []
  #isOpen = true
  #isInFlight = false

  constructor(position: Position, held: Runs, source: LaneSource) {
    this.position = position
    this.#held = new Held(held)
    this.#source = source
    this.#end = Promise.withResolvers()
    this.ended = this.#end.promise
    this.ended.catch(() => {})
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  get hasPending(): boolean {
    return this.#to !== undefined
  }

  /** Nothing is pending, and nothing on its way. */
  get isSettled(): boolean {
    return this.#to === undefined && !this.#isInFlight
  }

  pending(): { readonly rows: number; readonly bytes: number } {
    let [count, bytes] = [0, 0]
    for (const rows of this.#rows.values()) {
      count += rows.count
      bytes += rows.byteLength
    }
    return { rows: count, bytes }
  }

  /**
   * Takes records from index `from` on, up to the first whose schema is not known yet; answers the index behind
   * the last taken. Throws `record_malformed` at one that cannot be a row; those before it are taken.
   */
  add({ records, last, duplicates, markers }: DistinctBatch, from: number): number {
    let index = from
    try {
      while (index < records.length && this.#addRecord(records[index]!)) index++
    } finally {
      this.#counts.applied += index - from
      if (index === records.length) {
        this.#counts.duplicates += duplicates
        this.#counts.markers += markers
      }
      const reached = index === records.length ? last : index > from ? records[index - 1] : undefined
      if (reached !== undefined) this.#to = { nextOffset: reached.offset + 1, mark: markOf(reached) }
    }
    return index
  }

  /** Hears of what is added next with the flush that takes it. */
  observe(observed: Observed): void {
    this.#observed.push(observed)
  }

  take(): Taken | undefined {
    if (!this.#isOpen || this.#to === undefined) return undefined
    const taken = {
      lane: this,
      position: this.position,
      to: { ...this.#to, counts: { ...this.#counts, ignored: 0, deadLettered: 0 } },
      rows: this.#rows,
      observed: this.#observed,
    }
    this.#rows = new Map()
    this.#to = undefined
    this.#counts = { applied: 0, duplicates: 0, markers: 0 }
    this.#observed = []
    this.#isInFlight = true
    return taken
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
    this.#rows = new Map()
    this.#to = undefined
    this.#end.resolve()
  }

  fail(error: unknown): void {
    // The message should name this partition, not the one of the flush that was moved.
    const isMoved = error instanceof EmbudoError && error.code === 'position_moved'
    this.#end.reject(isMoved ? positionMoved(this.position) : error)
    this.close()
  }

  /** False where the writer's schema has to be learnt first. */
  #addRecord(record: LogRecord): boolean {
    const { topic, partition } = this.position
    const { codec, payloads } = this.#source
    const { value, offset } = record
    if (value === null || schemaIdOf(value) < 0)
      throw this.#malformed(offset, 'it has no value in Confluent framing')
    const writer = codec.writerOf(value)
    if (writer === undefined) return false
    if (this.#held.has(offset)) return true
    const rows = this.#rowsOf(writer.event, offset)
    try {
      const { bytes, from } = payloads.of(writer, value)
      const row = {
        id: record.header('ce_id') ?? `${topic}:${partition}:${offset}`,
        timeMs: timeMsOf(record),
        appendedAtMs: record.timestamp,
        source: record.header('ce_source') ?? topic,
        partition,
        offset,
      }
      rows.add(row, bytes, from)
    } catch (cause) {
      throw this.#malformed(offset, messageOf(cause), cause)
    }
    return true
  }

  #rowsOf(event: EventDefinition, offset: number): Rows {
    let rows = this.#rows.get(event)
    if (rows === undefined) {
      // A table's rows say one topic; a look in this one would never find a row of another.
      if (topicName(this.#source.prefix, event.topic) !== this.position.topic) {
        throw this.#malformed(offset, `${event.type} does not belong on this topic`)
      }
      rows = new Rows()
      this.#rows.set(event, rows)
    }
    return rows
  }

  #malformed(offset: number, detail: string, cause?: unknown): EmbudoError {
    const { topic, partition, reader, generation } = this.position
    return new EmbudoError(
      'record_malformed',
      `${topic}:${partition}:${offset} cannot become a row of ${reader}: ${detail}. The partition stops before it`,
      { facts: { topic, partition, offset, reader, generation }, cause },
    )
  }
}

export interface LaneSource {
  readonly codec: Codec
  readonly payloads: Payloads
  readonly prefix: string
}
