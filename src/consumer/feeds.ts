import { EmbudoError } from '../define/error.ts'
import type { Log, LogReader } from '../log/port.ts'
import { boundsOf } from './bounds.ts'
import { type DistinctBatch, distinct, type WholeBatch } from './distinct.ts'
import { type IdentityHash, identityHash } from './identity-hash.ts'
import { PartitionFeed } from './partition-feed.ts'
import { ReaderPool } from './reader-pool.ts'
import type { TopicConstants } from './topic-constants.ts'

/** What the readers of one process read: each partition once, as long as they stand near one another. */
export interface Feeds extends AsyncDisposable {
  /**
   * A partition's records from `from` on, without duplicates; ends when `signal` aborts. Nobody is held up by a
   * slower one. The batches, and the events that are decoded from their records, are those of everybody else too:
   * they are read only. Throws what `LogReader.read` does; the verdict on duplicates is that of `distinct`.
   */
  read(
    topic: TopicConstants,
    partition: number,
    from: number,
    signal: AbortSignal,
  ): AsyncGenerator<DistinctBatch, void, void>
  /** Past all that is kept: for whoever asks what the log holds now. Reads a partition as often as is wanted. */
  readonly single: LogReader
}

/** Of a process that reads no partition: nobody asks for any. */
export const noFeeds: Feeds = {
  read: () => {
    throw new EmbudoError('log_closed', 'This process reads no partitions.')
  },
  get single(): LogReader {
    throw new EmbudoError('log_closed', 'This process reads no partitions.')
  },
  async [Symbol.asyncDispose]() {},
}

export interface FeedOptions {
  readonly hash?: IdentityHash
  /** What one pass over a partition keeps, decoded. Default 2 MiB. */
  readonly maxPassBytes?: number
  /** What all of them keep. Default 48 MiB; each has always one batch. */
  readonly maxBytes?: number
  /** How far apart readers may be to begin together. Default 1,024. */
  readonly nearbyOffsets?: number
}

export const makeFeeds = (log: Log, options: FeedOptions = {}): Feeds => {
  const {
    hash = identityHash(),
    maxPassBytes = 2 * MIB,
    maxBytes = 48 * MIB,
    nearbyOffsets = 1_024,
  } = options
  const ahead = new ReaderPool(log, { maxBufferedBytes: fetchedAheadBytes })
  const single = new ReaderPool(log, { maxBufferedBytes: singleBytes })
  const feeds = new Map<string, PartitionFeed>()
  let passes = 0

  const make = ({ name, duplicatesWithin }: TopicConstants, partition: number): PartitionFeed => {
    async function* read(
      from: number,
      wanted: number,
      signal: AbortSignal,
    ): AsyncGenerator<WholeBatch, void, void> {
      const { start, end } = await boundsOf(log, name, partition)
      // The reader says what is wrong with an offset outside of the log.
      const isThere = start <= wanted && wanted <= end
      const windowStart = isThere ? Math.max(start, from - duplicatesWithin) : wanted
      const batches = ahead.read(name, partition, windowStart, signal)
      yield* distinct(batches, { from, duplicatesWithin, hash })
    }
    return new PartitionFeed({
      read,
      nearbyOffsets,
      roomBytes: () => Math.min(maxPassBytes, maxBytes / passes),
      hasMore: (more) => {
        passes += more
      },
    })
  }

  return {
    single,
    read(topic, partition, from, signal) {
      const key = `${topic.name}/${partition}`
      const feed = feeds.get(key) ?? make(topic, partition)
      feeds.set(key, feed)
      return feed.follow(from, signal)
    },
    async [Symbol.asyncDispose]() {
      for (const feed of feeds.values()) feed.stop()
      await Promise.all([ahead[Symbol.asyncDispose](), single[Symbol.asyncDispose]()])
    },
  }
}

const MIB = 1024 * 1024

/** A process reads dozens of partitions: this is what each pass may have fetched ahead. */
const fetchedAheadBytes = MIB

/** For a single record or a few. */
const singleBytes = 64 * 1024
