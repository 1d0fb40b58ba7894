import { EmbudoError } from '../define/error.ts'
import { type LogClock, systemClock } from './clock.ts'
import { decodeBatches } from './decode-batch.ts'
import { encodeBatch, recordSizeBound } from './encode-batch.ts'
import type {
  Appended,
  AppendRecord,
  Log,
  LogBatch,
  LogFailure,
  LogReader,
  NextOffset,
  WholeRecord,
} from './port.ts'
import { writeInt64 } from './record-batch.ts'

export interface MemoryLogOptions {
  /** Default 64 MiB. */
  readonly maxPendingBytes?: number
  /** Default 1 MiB, as a broker's. */
  readonly maxRecordBytes?: number
  readonly clock?: LogClock
}

/** The log without a broker, for tests: the same contract, and it fails when it is told to. */
export interface MemoryLog extends Log {
  readonly faults: LogFaults
  /** What was mirrored of a group, by `<topic>:<partition>`. */
  mirrored(group: string): ReadonlyMap<string, number>
}

export interface LogFaults {
  /** The next append is answered with this failure; `appended` says whether the records are there all the same. */
  failNextAppend(failure: Omit<LogFailure, 'failed'>, appended: boolean): void
  /** The next append rejects with `log_busy`. */
  refuseNextAppend(): void
  /** Appends wait, in order and within `maxPendingBytes`, until what it returns is called. */
  holdAppends(): () => void
  /** Reads get nothing until what it returns is called. */
  holdReads(): () => void
  /** Everything that asks a broker throws `log_unavailable` until what it returns is called. Reads wait. */
  disconnect(): () => void
  /** The beginning is deleted, as by retention. */
  trim(topic: string, partition: number, start: number): void
  /** The end is lost, as by an unclean election. */
  cut(topic: string, partition: number, end: number): void
  /** The topic is deleted and made again, empty. */
  recreate(topic: string): void
}

export const memoryLog = (options: MemoryLogOptions = {}): MemoryLog => new InMemoryLog(options)

class InMemoryLog implements MemoryLog {
  readonly #topics = new Map<string, StoredPartition[]>()
  readonly #readers = new Set<MemoryReader>()
  readonly #groups = new Map<string, Map<string, number>>()
  readonly #clock: LogClock
  readonly #maxPendingBytes: number
  readonly #maxRecordBytes: number
  readonly #held: Array<() => void> = []
  readonly #appendFaults: Array<{ failure: LogFailure; appended: boolean } | 'busy'> = []
  #pendingBytes = 0
  #isHolding = false
  #isDisconnected = false
  #isClosed = false

  constructor(options: MemoryLogOptions) {
    this.#clock = options.clock ?? systemClock
    this.#maxPendingBytes = options.maxPendingBytes ?? 64 * MIB
    this.#maxRecordBytes = options.maxRecordBytes ?? MIB
  }

  readonly faults: LogFaults = {
    failNextAppend: (failure, appended) => {
      this.#appendFaults.push({ failure: { failed: true, ...failure }, appended })
    },
    refuseNextAppend: () => {
      this.#appendFaults.push('busy')
    },
    holdAppends: () => {
      this.#isHolding = true
      return () => {
        this.#isHolding = false
        for (const append of this.#held.splice(0)) append()
      }
    },
    holdReads: () => this.#holdReads(),
    disconnect: () => {
      this.#isDisconnected = true
      const letGo = this.#holdReads()
      return () => {
        this.#isDisconnected = false
        letGo()
      }
    },
    trim: (topic, partition, start) => this.#partition(topic, partition).trim(start),
    cut: (topic, partition, end) => this.#partition(topic, partition).cut(end),
    recreate: (topic) => {
      for (const partition of this.#topics.get(topic) ?? []) partition.recreate()
    },
  }

  async ensureTopics(specs: Parameters<Log['ensureTopics']>[0]): Promise<void> {
    this.#answer()
    for (const { topic, partitions } of specs) {
      const found = this.#topics.get(topic)
      if (found === undefined) {
        this.#topics.set(
          topic,
          Array.from({ length: partitions }, () => new StoredPartition()),
        )
      } else if (found.length !== partitions) {
        const message = `The topic ${topic} has ${found.length} partitions, but ${partitions} are asked for.`
        throw new EmbudoError('partitions_differ', message, {
          facts: { topic, expected: partitions, found: found.length },
        })
      }
    }
  }

  bounds: Log['bounds'] = async (topic) => {
    this.#answer()
    const found = this.#topics.get(topic)
    if (found === undefined) throw topicUnknown(topic)
    return found.map(({ start, end }, partition) => ({ partition, start, end }))
  }

  offsetsAt: Log['offsetsAt'] = async (topic, time) => {
    this.#answer()
    const found = this.#topics.get(topic)
    if (found === undefined) throw topicUnknown(topic)
    return found.map((stored, partition) => ({ partition, offset: stored.offsetAt(time) }))
  }

  async append(records: readonly AppendRecord[]): Promise<ReadonlyArray<Appended | LogFailure>> {
    if (this.#isClosed) throw closed()
    const fault = this.#appendFaults.shift()
    const bytes = records.reduce((sum, record) => sum + recordSizeBound(record), 0)
    if (fault === 'busy' || this.#pendingBytes + bytes > this.#maxPendingBytes) {
      throw new EmbudoError('log_busy', 'Too much waits to be appended already. Try again in a moment.', {
        facts: { bytes, pendingBytes: this.#pendingBytes, maxPendingBytes: this.#maxPendingBytes },
        retriable: bytes <= this.#maxPendingBytes,
      })
    }
    this.#pendingBytes += bytes
    await new Promise<void>((resolve) => {
      if (this.#isHolding) this.#held.push(resolve)
      else this.#clock.soon(resolve)
    })
    this.#pendingBytes -= bytes
    if (this.#isDisconnected) return records.map(() => UNAVAILABLE)
    if (fault && !fault.appended) return records.map(() => fault.failure)
    const outcomes = records.map((record) => this.#appendOne(record))
    return fault ? records.map(() => fault.failure) : outcomes
  }

  reader(): LogReader {
    if (this.#isClosed) throw closed()
    const reader = new MemoryReader((topic, partition) => this.#partition(topic, partition))
    this.#readers.add(reader)
    return reader
  }

  async mirrorOffsets(group: string, offsets: readonly NextOffset[]): Promise<void> {
    this.#answer()
    for (const { topic, partition } of offsets) this.#partition(topic, partition)
    const known = this.#groups.get(group) ?? new Map<string, number>()
    for (const { topic, partition, offset } of offsets) known.set(`${topic}:${partition}`, offset)
    this.#groups.set(group, known)
  }

  mirrored(group: string): ReadonlyMap<string, number> {
    return this.#groups.get(group) ?? new Map()
  }

  async ping(): Promise<void> {
    this.#answer()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    await Promise.all([...this.#readers].map((reader) => reader[Symbol.asyncDispose]()))
  }

  #appendOne(record: AppendRecord): Appended | LogFailure {
    const { topic, partition } = record
    const stored = this.#topics.get(topic)?.[partition]
    if (stored === undefined) {
      const detail = `There is no partition ${partition} of the topic ${topic}.`
      return { failed: true, code: 'log_refused', detail, retriable: false }
    }
    if (recordSizeBound(record) > this.#maxRecordBytes) {
      const detail = `larger than ${this.#maxRecordBytes} bytes`
      return { failed: true, code: 'record_too_large', detail, retriable: false }
    }
    return { topic, partition, offset: stored.append(record, this.#clock.now()) }
  }

  #partition(topic: string, partition: number): StoredPartition {
    const stored = this.#topics.get(topic)?.[partition]
    if (stored === undefined) throw topicUnknown(topic, partition)
    return stored
  }

  #holdReads(): () => void {
    for (const stored of [...this.#topics.values()].flat()) stored.isHeld = true
    return () => {
      for (const stored of [...this.#topics.values()].flat()) stored.letGo()
    }
  }

  #answer(): void {
    if (this.#isClosed) throw closed()
    if (this.#isDisconnected) {
      throw new EmbudoError('log_unavailable', 'Kafka cannot be reached.', { retriable: true })
    }
  }
}

class MemoryReader implements LogReader {
  readonly #find: (topic: string, partition: number) => StoredPartition
  readonly #reading = new Set<string>()
  readonly #closing = new AbortController()

  constructor(find: (topic: string, partition: number) => StoredPartition) {
    this.#find = find
  }

  async *read(
    topic: string,
    partition: number,
    from: number,
    signal: AbortSignal,
    until = Number.POSITIVE_INFINITY,
  ): AsyncIterable<LogBatch> {
    if (signal.aborted) return
    if (this.#closing.signal.aborted) throw closed()
    const key = `${topic}/${partition}`
    if (this.#reading.has(key)) {
      throw new EmbudoError('already_reading', `${key} is being read by this reader already.`)
    }
    const stored = this.#find(topic, partition)
    const ends = AbortSignal.any([signal, this.#closing.signal])
    this.#reading.add(key)
    try {
      for (let next = from; next < until && !ends.aborted; ) {
        const records = stored.read(next, BATCH_RECORDS, { topic, partition })
        const last = records.at(-1)
        if (last === undefined) await stored.more(ends)
        else {
          next = last.offset + 1
          yield { topic, partition, records, highWatermark: stored.end, markers: 0 }
        }
      }
      if (ends.aborted && !signal.aborted) throw closed()
    } finally {
      this.#reading.delete(key)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
  }
}

class StoredPartition {
  readonly #records: WholeRecord[] = []
  readonly #waiting = new Set<() => void>()
  start = 0
  isHeld = false

  get end(): number {
    return this.start + this.#records.length
  }

  /** Through the codec, so that what is read back is what a broker would give. */
  append(record: AppendRecord, now: number): number {
    const offset = this.end
    const batch = encodeBatch([record], now)
    writeInt64(batch, offset, 0)
    this.#records.push(...decodeBatches(batch))
    this.#wake()
    return offset
  }

  read(from: number, atMost: number, place: { topic: string; partition: number }): WholeRecord[] {
    if (this.isHeld) return []
    if (from >= this.start && from <= this.end) {
      return this.#records.slice(from - this.start, from - this.start + atMost)
    }
    const facts = { ...place, from, start: this.start, end: this.end }
    const message = `${place.topic}/${place.partition} has no offset ${from}: it reaches from ${this.start} to ${this.end}.`
    throw new EmbudoError('offset_out_of_range', message, { facts })
  }

  offsetAt(time: number): number {
    return this.#records.find(({ timestamp }) => timestamp >= time)?.offset ?? this.end
  }

  async more(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#waiting.add(resolve)
    const wake = () => resolve()
    signal.addEventListener('abort', wake)
    await promise
    signal.removeEventListener('abort', wake)
    this.#waiting.delete(resolve)
  }

  trim(start: number): void {
    this.#records.splice(0, start - this.start)
    this.start = start
    this.#wake()
  }

  cut(end: number): void {
    this.#records.length = end - this.start
    this.#wake()
  }

  recreate(): void {
    this.#records.length = 0
    this.start = 0
    this.#wake()
  }

  letGo(): void {
    this.isHeld = false
    this.#wake()
  }

  #wake(): void {
    for (const wake of this.#waiting) wake()
  }
}

const MIB = 1024 * 1024
const BATCH_RECORDS = 500

const UNAVAILABLE: LogFailure = {
  failed: true,
  code: 'log_unavailable',
  detail: 'Kafka cannot be reached.',
  retriable: true,
}

const closed = (): EmbudoError => new EmbudoError('log_closed', 'The log was closed.')

const topicUnknown = (topic: string, partition?: number): EmbudoError =>
  partition === undefined
    ? new EmbudoError('topic_unknown', `There is no topic ${topic}.`, { facts: { topic } })
    : new EmbudoError('topic_unknown', `There is no partition ${partition} of the topic ${topic}.`, {
        facts: { topic, partition },
      })
