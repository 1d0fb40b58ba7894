import type { DistinctBatch, WholeBatch } from './distinct.ts'
import { Pass } from './pass.ts'

export interface PartitionFeedParts {
  /**
   * What counts from `from` on, or from where the log begins; throws where `wanted`, which is at it or behind it, is
   * outside of the log. The partition may be read several times at once.
   */
  readonly read: (from: number, wanted: number, signal: AbortSignal) => AsyncGenerator<WholeBatch, void, void>
  /**
   * The readers of a process stand close to one another when it starts, and come one after the other: a pass begins
   * that many offsets before the first, and those that are as far ahead of the first wait for it.
   */
  readonly nearbyOffsets: number
  /** What a pass may keep in memory, asked each time that it has read on. */
  readonly roomBytes: () => number
  /** Told how many more passes there are. */
  readonly hasMore: (passes: number) => void
}

/**
 * The passes over one partition. Readers that stand near one another follow one pass. Who falls so far behind that
 * the pass no longer keeps what it needs goes on by a pass of its own, and comes back once it has caught up. So
 * there are never more passes than readers, and mostly there is one.
 */
export class PartitionFeed {
  readonly #parts: PartitionFeedParts
  /** The oldest first. */
  readonly #passes: Pass[] = []

  constructor(parts: PartitionFeedParts) {
    this.#parts = parts
  }

  async *follow(from: number, signal: AbortSignal): AsyncGenerator<DistinctBatch, void, void> {
    let position = from
    let pass = this.#joined(this.#near(position) ?? this.#open(position))
    try {
      while (!signal.aborted) {
        const better = this.#better(pass, position)
        if (better !== undefined) {
          const left = pass
          pass = this.#joined(better)
          this.#leave(left)
        }
        const batch = pass.at(position)
        if (batch === undefined) await pass.more(signal)
        else {
          position = batch.last.offset + 1
          yield batch
        }
      }
    } finally {
      this.#leave(pass)
    }
  }

  stop(): void {
    for (const pass of this.#passes) pass.stop()
  }

  /** One to begin with. It may have to read a little before it is there: less than a pass of one's own would. */
  #near(position: number): Pass | undefined {
    return this.#passes.find(
      (pass) =>
        !pass.hasEnded && pass.start <= position && position <= pass.end + 2 * this.#parts.nearbyOffsets,
    )
  }

  /** Where to go from `pass`; undefined where nothing is better than to stay. */
  #better(pass: Pass, position: number): Pass | undefined {
    if (position < pass.start) return this.#holding(position) ?? this.#open(position)
    const isThrough = position >= pass.end && !pass.hasEnded
    return isThrough ? this.#holding(position, pass) : undefined
  }

  /**
   * A pass that keeps what stands at `position`. Of two that have both read to there, everybody goes to the older
   * one: nobody is sent to and fro.
   */
  #holding(position: number, than?: Pass): Pass | undefined {
    let isOlder = true
    return this.#passes.find((pass) => {
      if (pass === than) isOlder = false
      const hasRead = pass.end > position || (isOlder && pass.end === position)
      return pass !== than && !pass.hasEnded && pass.start <= position && hasRead
    })
  }

  #open(position: number): Pass {
    const from = Math.max(0, position - this.#parts.nearbyOffsets)
    const pass = new Pass(from, (signal) => this.#parts.read(from, position, signal), this.#parts.roomBytes)
    this.#passes.push(pass)
    this.#parts.hasMore(1)
    return pass
  }

  #joined(pass: Pass): Pass {
    pass.followers++
    return pass
  }

  #leave(pass: Pass): void {
    if (--pass.followers > 0) return
    this.#passes.splice(this.#passes.indexOf(pass), 1)
    this.#parts.hasMore(-1)
    pass.stop()
  }
}
