import { expect } from 'vitest'
import { funnelEvent } from './load.ts'
import type { LogRecord } from './log-reader.ts'

/** Of an Embudo-Position: the last offset by `topic:partition`. */
type Positions = ReadonlyMap<string, number>

/**
 * What senders did and what they were told. The events of a key are numbered, and its sender sends the next one
 * only once the one before is acknowledged, so that their order in the log is known beforehand.
 */
export class Ledger {
  readonly source: string
  readonly keys: number
  readonly #make: (n: number) => Record<string, unknown>
  /** By key: how many of its events have been sent. */
  readonly #sent: number[]
  readonly #places: { readonly event: number; readonly place: string }[] = []
  readonly #positions: { readonly events: readonly number[]; readonly positions: Positions }[] = []
  readonly #repeated = new Set<number>()
  readonly #statuses = new Map<number, number>()
  requests = 0
  retries = 0
  /** Requests whose connection ended before an answer. */
  unanswered = 0
  acknowledged = 0
  slowestMs = 0

  /** `make`: event n, of the key n modulo the number of keys. */
  constructor(source: string, keys: number, make = (n: number) => funnelEvent(n, keys)) {
    this.source = source
    this.keys = keys
    this.#make = make
    this.#sent = Array<number>(keys).fill(0)
  }

  /** Event `n` as it is sent, the same at every attempt. */
  event(n: number): Record<string, unknown> {
    return { ...this.#make(n), id: idOf(n), source: this.source }
  }

  /** The number of a key's next event. */
  next(key: number): number {
    const round = this.#sent[key] ?? 0
    this.#sent[key] = round + 1
    return key + round * this.keys
  }

  answered(status: number, afterMs: number): void {
    this.#statuses.set(status, (this.#statuses.get(status) ?? 0) + 1)
    this.slowestMs = Math.max(this.slowestMs, afterMs)
  }

  /** They will be sent again although nothing went wrong, as by a sender whose connection broke. */
  willRepeat(events: readonly number[]): void {
    for (const event of events) this.#repeated.add(event)
  }

  /** An answer said that the event stands there. */
  standsAt(event: number, topic: string, partition: number, offset: number): void {
    this.#places.push({ event, place: placeOf(topic, partition, offset) })
  }

  /** An answer said that the events stand there or before. */
  standUpTo(events: readonly number[], positions: Positions): void {
    this.#positions.push({ events, positions })
  }

  answers(status: number): number {
    return this.#statuses.get(status) ?? 0
  }

  /** Once all senders have ended: everything sent is acknowledged, and each claim is held against the log. */
  expectIn(log: readonly LogRecord[]): Counts {
    const mine = log.filter(({ source }) => source === this.source)
    const offsets = Map.groupBy(mine, ({ id }) => id)
    const atPlace = new Map(mine.map((one) => [placeOf(one.topic, one.partition, one.offset), one.id]))

    const elsewhere = this.#places.filter(({ event, place }) => atPlace.get(place) !== idOf(event))
    expect(elsewhere.slice(0, 3), 'acknowledged at a place where the log has something else').toEqual([])
    const missing = this.#positions.flatMap(({ events, positions }) =>
      events
        .filter((event) => !(offsets.get(idOf(event)) ?? []).some((record) => isUpTo(record, positions)))
        .map((event) => ({ event, positions: [...positions] })),
    )
    expect(missing.slice(0, 3), 'acknowledged up to a place before which the log has it not').toEqual([])

    const sent = this.#sent.reduce((sum, count) => sum + count, 0)
    expect(this.acknowledged, 'events acknowledged of those sent').toBe(sent)
    expect(offsets.size, 'events in the log of those sent').toBe(sent)
    expect(this.#outOfOrder(mine).slice(0, 3), 'first seen in another order than sent').toEqual([])
    const byFaults = [...offsets].filter(([id]) => !this.#repeated.has(numberOf(id)))
    return {
      ...{ requests: this.requests, retries: this.retries, acknowledged: this.acknowledged },
      unanswered: this.unanswered,
      duplicates: mine.length - sent,
      duplicatesByFaults: byFaults.reduce((sum, [, records]) => sum + records.length - 1, 0),
    }
  }

  /** A key's events are on one partition; `records` has each partition in its order. */
  #outOfOrder(records: readonly LogRecord[]): string[] {
    const rounds = Array<number>(this.keys).fill(0)
    return records
      .filter(({ id }) => {
        const event = numberOf(id)
        const key = event % this.keys
        const round = Math.floor(event / this.keys)
        const expected = rounds[key] ?? 0
        rounds[key] = Math.max(expected, round + 1)
        return round > expected
      })
      .map(({ id, partition, offset }) => `${id} at ${partition}:${offset}`)
  }
}

export interface Counts {
  readonly requests: number
  readonly retries: number
  readonly unanswered: number
  readonly acknowledged: number
  /** Records in the log whose event stands there already. */
  readonly duplicates: number
  /** Of those, the ones that no sender made on purpose. */
  readonly duplicatesByFaults: number
}

const idOf = (event: number): string => `load-${event}`
const numberOf = (id: string): number => Number(id.slice('load-'.length))

const placeOf = (topic: string, partition: number, offset: number): string =>
  `${topic}:${partition}:${offset}`

const isUpTo = ({ topic, partition, offset }: LogRecord, positions: Positions): boolean =>
  offset <= (positions.get(`${topic}:${partition}`) ?? -1)
