import { EmbudoError } from '../define/error.ts'
import { BatchRing } from './batch-ring.ts'
import type { WholeBatch } from './distinct.ts'

/**
 * One reading of a partition, for all who follow it. It reads on when somebody who has taken everything wants
 * more, and keeps the last that it read for the others: nobody waits for anybody.
 */
export class Pass {
  readonly #ring: BatchRing
  readonly #batches: AsyncGenerator<WholeBatch, void, void>
  readonly #stopping = new AbortController()
  readonly #roomBytes: () => number
  #reading: Promise<void> | undefined
  #failure: { readonly error: unknown } | undefined
  /** Kept by whoever hands it out. */
  followers = 0

  /** `read` gives what counts from `from` on, or from later on where the log begins later. */
  constructor(
    from: number,
    read: (signal: AbortSignal) => AsyncGenerator<WholeBatch, void, void>,
    roomBytes: () => number,
  ) {
    this.#ring = new BatchRing(from)
    this.#batches = read(this.#stopping.signal)
    this.#roomBytes = roomBytes
  }

  /** The first offset that a follower may stand at. */
  get start(): number {
    return this.#ring.start
  }

  /** One past the last offset that was read. */
  get end(): number {
    return this.#ring.end
  }

  get hasEnded(): boolean {
    return this.#failure !== undefined
  }

  /** The batch in which `offset` stands, without what is before it; undefined where it was not read yet. */
  at(offset: number): WholeBatch | undefined {
    return this.#ring.at(offset)
  }

  /** Resolves when more was read, or `signal` aborts. Throws what ended the pass. */
  async more(signal: AbortSignal): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure.error
    this.#reading ??= this.#readOn()
    await settledOrAborted(this.#reading, signal)
  }

  stop(): void {
    this.#failure ??= { error: new EmbudoError('log_closed', 'The reading of this partition was stopped.') }
    this.#stopping.abort()
    // Its reader is free for others then. What it ends with is of no interest any more.
    this.#batches.return().catch(() => {})
  }

  async #readOn(): Promise<void> {
    try {
      const { value, done } = await this.#batches.next()
      if (done) throw new EmbudoError('log_closed', 'The log was closed.')
      this.#ring.push(value, this.#roomBytes())
    } catch (error) {
      this.#failure ??= { error }
    }
    this.#reading = undefined
  }
}

const settledOrAborted = async (work: Promise<void>, signal: AbortSignal): Promise<void> => {
  if (signal.aborted) return
  const aborted = Promise.withResolvers<void>()
  const wake = () => aborted.resolve()
  signal.addEventListener('abort', wake)
  await Promise.race([work, aborted.promise])
  signal.removeEventListener('abort', wake)
}
