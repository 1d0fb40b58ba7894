import { EmbudoError } from '../define/error.ts'
import { decodeBatches, firstBatch, lastSeal, nextOffsetAfter } from './decode-batch.ts'
import type { FetchedPart } from './fetch-request.ts'
import type { LogBatch } from './port.ts'

/** One partition being read: what was fetched ahead and not yet taken, and where to go on. */
export class PartitionStream {
  readonly topic: string
  readonly partition: number
  /** The next offset to fetch. */
  next: number
  isInFlight = false
  isClosed = false
  /** After a failure, for a moment. */
  isPostponed = false
  failures = 0
  unknownSince: number | undefined
  /** When the fetch was sent that was answered last: an answer may have lain there while this process stood still. */
  askedAt = Number.NEGATIVE_INFINITY
  readonly #until: number
  readonly #checkCrc: boolean
  readonly #fetched: Fetched[] = []
  #bufferedBytes = 0
  /** Passed since the last batch that was taken. */
  #markers = 0
  #highWatermark: number | undefined
  /** Of the last batch that was fetched. */
  #seal: string | undefined
  #isDoubted = false
  #error: Error | undefined
  #wake: (() => void) | undefined

  constructor(topic: string, partition: number, options: StreamOptions) {
    this.topic = topic
    this.partition = partition
    this.next = options.from
    this.#until = options.until ?? Number.POSITIVE_INFINITY
    this.#checkCrc = options.checkCrc
  }

  /** Whether the log is known to have more, or may have: a fetch of it comes back at once. */
  get isBehind(): boolean {
    return this.#highWatermark === undefined || this.next < this.#highWatermark
  }

  /** Whether all that is wanted was fetched. */
  get isThrough(): boolean {
    return this.next >= this.#until
  }

  get bufferedBytes(): number {
    return this.#bufferedBytes
  }

  get hasFailed(): boolean {
    return this.#error !== undefined
  }

  /** Where to fetch from: the last batch comes once more where it is in doubt whether this is still the same log. */
  get from(): number {
    return this.#isDoubted ? this.next - 1 : this.next
  }

  get isDoubted(): boolean {
    return this.#isDoubted
  }

  /** The topic may have been made again meanwhile. Nothing is in doubt where nothing was read. */
  doubt(): void {
    this.#isDoubted = this.#seal !== undefined
  }

  /** There is nothing left to compare with. */
  trust(): void {
    this.#isDoubted = false
    this.#seal = undefined
  }

  /** Throws `log_changed` where another batch stands in the place of the last one. */
  push(part: FetchedPart): void {
    this.#highWatermark = part.highWatermark
    const bytes = this.#isDoubted ? this.#behindLast(part.bytes) : part.bytes
    const next = nextOffsetAfter(bytes)
    if (next === undefined) return
    this.#fetched.push({ from: this.next, bytes, highWatermark: part.highWatermark })
    this.next = Math.max(next, this.next)
    this.#seal = lastSeal(bytes)
    this.#bufferedBytes += bytes.length
    this.#wakeUp()
  }

  #behindLast(bytes: Buffer): Buffer {
    const first = firstBatch(bytes)
    if (first === undefined) return bytes
    const { topic, partition, next } = this
    if (first.seal !== this.#seal) {
      throw new EmbudoError(
        'log_changed',
        `${topic}/${partition} is not the log that was read: another record stands at ${next - 1}.`,
        { facts: { topic, partition, next } },
      )
    }
    this.#isDoubted = false
    return bytes.subarray(first.end)
  }

  fail(error: Error): void {
    this.#error = error
    this.#wakeUp()
  }

  close(): void {
    this.isClosed = true
    this.#fetched.length = 0
    this.#wakeUp()
  }

  /** The next records, decoded only now so that what is fetched ahead costs no more than its bytes. */
  async take(signal: AbortSignal, hasTaken: () => void): Promise<LogBatch | undefined> {
    while (!signal.aborted && !this.isClosed) {
      const fetched = this.#fetched.shift()
      if (fetched) {
        this.#bufferedBytes -= fetched.bytes.length
        hasTaken()
        const { topic, partition } = this
        const records = decodeBatches(fetched.bytes, {
          from: fetched.from,
          checkCrc: this.#checkCrc,
          passMarkers: (offsets) => {
            this.#markers += offsets
          },
        })
        if (records.length > 0) {
          const markers = this.#markers
          this.#markers = 0
          return { topic, partition, records, highWatermark: fetched.highWatermark, markers }
        }
      } else if (this.isThrough) {
        return undefined
      } else if (this.#error) {
        throw this.#error
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
    }
    return undefined
  }

  wakeUp = (): void => this.#wakeUp()

  #wakeUp(): void {
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
  }
}

interface StreamOptions {
  readonly from: number
  /** Where it ends. Default never. */
  readonly until?: number | undefined
  readonly checkCrc: boolean
}

interface Fetched {
  readonly from: number
  readonly bytes: Buffer
  readonly highWatermark: number
}
