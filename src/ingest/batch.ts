import { EmbudoError, messageOf } from '../define/error.ts'
import { RecordBodyWriter, type ToRecord } from '../log/event-record.ts'
import type { Appended, EncodedRecord, Log, LogFailure } from '../log/port.ts'
import { type EventError, type EventErrorCode, eventError } from './event-error.ts'
import { Places } from './places.ts'
import type { Sender, Validate } from './validate.ts'

export interface BatchParts {
  readonly log: Pick<Log, 'append'>
  readonly validate: Validate
  readonly toRecord: ToRecord
  readonly wait: (ms: number) => Promise<void>
}

export interface BatchLimits {
  readonly maxErrors: number
  /**
   * What a log that breaks off means: of a stream, the place where it stopped; of an array, which is there as a
   * whole, an error for each event that it did not take.
   */
  readonly whenLogFails: 'stop' | 'refuse each'
  /** Events that go to the log in one call. */
  readonly chunkEvents: number
  readonly chunkBytes: number
  /** How long a full log is waited for before the batch breaks off. */
  readonly maxBusyMs: number
}

export interface IndexedError extends EventError {
  readonly index: number
  readonly id: string | null
}

export interface BatchResult {
  readonly accepted: number
  readonly rejected: number
  readonly errors: readonly IndexedError[]
  readonly errorsOmitted: number
  /** From this index on the outcome is unknown, and a retry with the same ids is right. */
  readonly stopped: { readonly at: number; readonly because: EventError } | undefined
  readonly position: string | undefined
}

/**
 * Many events of one request, appended in chunks. One chunk is being appended while the next one is read: never
 * more, so that a chunk that fails cannot be overtaken, and a body is read no faster than the log takes it.
 */
export class Batch {
  readonly #parts: BatchParts
  readonly #limits: BatchLimits
  readonly #sender: Sender
  readonly #errors: IndexedError[] = []
  readonly #places = new Places()
  #index = 0
  #accepted = 0
  #rejected = 0
  /** Those among them that were whole and the log would not have. */
  #refusedByLog = 0
  /** Of all indexes: what became a record. */
  #recordCount = 0
  #chunk: Chunk = emptyChunk(0)
  /** The memory of a chunk that was appended, for the next one: a long stream makes no garbage of it. */
  #spareBodies: RecordBodyWriter | undefined
  #appending: Promise<void> | undefined
  #stopped: BatchResult['stopped']
  /** Why nothing more is handed to the log. */
  #failure: EventError | undefined

  constructor(parts: BatchParts, limits: BatchLimits, sender: Sender) {
    this.#parts = parts
    this.#limits = limits
    this.#sender = sender
  }

  get count(): number {
    return this.#index
  }

  /** True once the log broke off: nothing more needs to be read. */
  get hasStopped(): boolean {
    return this.#stopped !== undefined
  }

  /** True when `flush` should be awaited before more is added. */
  get isFull(): boolean {
    return (
      this.#chunk.records.length >= this.#limits.chunkEvents || this.#chunk.bytes >= this.#limits.chunkBytes
    )
  }

  add(input: unknown): void {
    const event = this.#parts.validate(input, this.#sender)
    if ('refused' in event) {
      this.refuse(event.refused, event.id)
      return
    }
    const record = this.#parts.toRecord(event, this.#chunk.bodies)
    const chunk = this.#chunk
    chunk.records.push(record)
    chunk.ids.push(event.id)
    chunk.indexes.push(this.#index++)
    this.#recordCount += 1
    chunk.bytes += record.body.length + bytesBeside
  }

  refuse(error: EventError, id?: string): void {
    this.#rejectAt(this.#index++, error, id)
  }

  /** Waits for the chunk before, then hands this one to the log without waiting for its answer. */
  async flush(): Promise<void> {
    await this.#appending
    if (this.#chunk.records.length === 0) return
    const chunk = this.#chunk
    this.#chunk = emptyChunk(this.#recordCount, this.#spareBodies)
    this.#spareBodies = undefined
    if (this.#failure === undefined) this.#appending = this.#append(chunk)
    else
      for (const [at, index] of chunk.indexes.entries()) this.#refusedAt(index, this.#failure, chunk.ids[at])
  }

  /** `brokenOff`: why the body ended before its end, if it did. */
  async finish(brokenOff?: EventError): Promise<BatchResult> {
    const isDropped = brokenOff?.code === 'body_malformed'
    const recordsBefore = isDropped ? this.#chunk.recordsBefore : this.#recordCount
    const stoppedAt = isDropped ? this.#drop() : this.#index
    await this.flush()
    await this.#appending
    if (brokenOff !== undefined) this.#stop(stoppedAt, recordsBefore, brokenOff)
    const at = this.#stopped?.at ?? Number.POSITIVE_INFINITY
    const errors = this.#errors.filter(({ index }) => index < at).toSorted((a, b) => a.index - b.index)
    return {
      accepted: this.#accepted,
      rejected: this.#rejected,
      errors,
      errorsOmitted: Math.max(0, this.#rejected - errors.length),
      stopped: this.#stopped,
      position: this.#places.toHeader(),
    }
  }

  /**
   * What has not been handed to the log may come from bytes that changed on their way, and say something else than
   * was sent: the checksum of a compressed body stands at its end.
   */
  #drop(): number {
    const at = this.#chunk.indexes[0] ?? this.#index
    this.#chunk = emptyChunk(this.#recordCount)
    return at
  }

  async #append(chunk: Chunk): Promise<void> {
    const outcomes = await this.#outcomes(chunk)
    chunk.bodies.reuse()
    this.#spareBodies = chunk.bodies
    for (const [at, outcome] of outcomes.entries()) {
      const index = chunk.indexes[at]!
      if (!('failed' in outcome)) {
        this.#places.add(outcome)
        if (this.#stopped === undefined) this.#accepted += 1
        continue
      }
      const error = failureError(outcome)
      if (error.retriable) this.#failure ??= error
      if (error.retriable && this.#limits.whenLogFails === 'stop')
        this.#stop(index, chunk.recordsBefore + at, error)
      else this.#refusedAt(index, error, chunk.ids[at])
    }
  }

  async #outcomes({ records }: Chunk): Promise<ReadonlyArray<Appended | LogFailure>> {
    let waited = 0
    for (;;) {
      try {
        return await this.#parts.log.append(records)
      } catch (error) {
        const isBusy = error instanceof EmbudoError && error.code === 'log_busy'
        if (!isBusy || waited >= this.#limits.maxBusyMs) return records.map(() => failureOf(error))
        await this.#parts.wait(busyPauseMs)
        waited += busyPauseMs
      }
    }
  }

  /** What was refused at or past this place is for the retry to say again; what comes before it is told by number. */
  #stop(at: number, recordsBefore: number, because: EventError): void {
    if (this.#stopped !== undefined) return
    this.#stopped = { at, because }
    this.#rejected = at - recordsBefore + this.#refusedByLog
  }

  #refusedAt(index: number, error: EventError, id: string | undefined): void {
    if (this.#stopped === undefined) this.#refusedByLog += 1
    this.#rejectAt(index, error, id)
  }

  #rejectAt(index: number, error: EventError, id: string | undefined): void {
    if (this.#stopped !== undefined) return
    this.#rejected += 1
    if (this.#errors.length < this.#limits.maxErrors) this.#errors.push({ index, id: id ?? null, ...error })
  }
}

const busyPauseMs = 25

/** What a record holds in memory besides its body, about. */
const bytesBeside = 128

interface Chunk {
  /** Of the whole batch. */
  readonly recordsBefore: number
  readonly bodies: RecordBodyWriter
  readonly records: EncodedRecord[]
  readonly ids: string[]
  readonly indexes: number[]
  bytes: number
}

const emptyChunk = (recordsBefore: number, bodies = new RecordBodyWriter(16 * 1024, 1024 * 1024)): Chunk => ({
  recordsBefore,
  bodies,
  records: [],
  ids: [],
  indexes: [],
  bytes: 0,
})

/** A call of append that was rejected, as the failure of each of its records. */
export const failureOf = (error: unknown): LogFailure & { readonly busy?: true } => ({
  failed: true,
  code: 'log_unavailable',
  detail: messageOf(error),
  retriable: true,
  ...(error instanceof EmbudoError && error.code === 'log_busy' ? { busy: true as const } : {}),
})

export const failureError = (failure: LogFailure & { readonly busy?: true }): EventError =>
  eventError(
    (failure.busy ? 'log_busy' : failure.code) satisfies EventErrorCode,
    '',
    failure.detail,
    failure.retriable,
  )
