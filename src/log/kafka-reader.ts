import { EmbudoError, messageOf } from '../define/error.ts'
import { backoffMs, pauseOn } from './clock.ts'
import type { Cluster, ClusterParts, Connections } from './cluster.ts'
import { decodeFetch, encodeFetch, FETCH, type FetchedPart } from './fetch-request.ts'
import { isRetriableKafkaError, KAFKA, kafkaErrorName } from './kafka-errors.ts'
import { PartitionStream } from './partition-stream.ts'
import type { LogBatch, LogReader, ReaderOptions } from './port.ts'
import { boundsOf } from './topics.ts'

/**
 * Reads partitions ahead of their consumers, with connections of its own. Each leader is asked over two lanes:
 * one for partitions that are behind, whose answer comes at once, and one for those at the end, where the broker
 * holds the request until something arrives. So nobody who has catching up to do waits for somebody else's news.
 */
export class KafkaReader implements LogReader {
  readonly #cluster: Cluster
  readonly #parts: ClusterParts
  readonly #options: Required<ReaderOptions> & {
    readonly requestTimeoutMs: number
    readonly checkCrc: boolean
  }
  readonly #lanes: Readonly<Record<LaneName, Lane>>
  readonly #streams = new Map<string, PartitionStream>()
  readonly #lookingUp = new Set<string>()
  readonly #hasClosed: (reader: KafkaReader) => void
  #isClosed = false

  constructor(
    cluster: Cluster,
    options: ReaderOptions & { readonly requestTimeoutMs: number; readonly checkCrc: boolean },
    parts: ClusterParts,
    hasClosed: (reader: KafkaReader) => void,
  ) {
    this.#hasClosed = hasClosed
    this.#cluster = cluster
    this.#parts = parts
    this.#options = {
      maxBufferedBytes: options.maxBufferedBytes ?? 4 * MIB,
      maxWaitMs: options.maxWaitMs ?? 250,
      requestTimeoutMs: options.requestTimeoutMs,
      checkCrc: options.checkCrc,
    }
    const lane = (): Lane => ({ connections: cluster.connections(), busyLeaders: new Set() })
    this.#lanes = { behind: lane(), atEnd: lane() }
  }

  async *read(
    topic: string,
    partition: number,
    from: number,
    signal: AbortSignal,
    until?: number,
  ): AsyncIterable<LogBatch> {
    if (!Number.isSafeInteger(from)) throw new RangeError(`${from} is no offset.`)
    if (signal.aborted) return
    if (this.#isClosed) throw new EmbudoError('log_closed', 'The reader was closed.')
    const key = `${topic}/${partition}`
    if (this.#streams.has(key)) {
      throw new EmbudoError('already_reading', `${key} is being read by this reader already.`)
    }
    const stream = new PartitionStream(topic, partition, { from, until, checkCrc: this.#options.checkCrc })
    this.#streams.set(key, stream)
    signal.addEventListener('abort', stream.wakeUp)
    try {
      this.#pump()
      const pump = () => this.#pump()
      for (let batch = await stream.take(signal, pump); batch; batch = await stream.take(signal, pump)) {
        yield batch
      }
      if (this.#isClosed && !signal.aborted && !stream.isThrough)
        throw new EmbudoError('log_closed', 'The reader was closed.')
    } finally {
      signal.removeEventListener('abort', stream.wakeUp)
      stream.close()
      this.#streams.delete(key)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    for (const stream of this.#streams.values()) stream.close()
    for (const lane of Object.values(this.#lanes)) lane.connections.close()
    this.#hasClosed(this)
  }

  // Starts every fetch that can be started. Called whenever something may have changed.
  #pump(): void {
    if (this.#isClosed) return
    const ready = {
      behind: new Map<number, PartitionStream[]>(),
      atEnd: new Map<number, PartitionStream[]>(),
    }
    const now = this.#parts.clock.now()
    for (const stream of this.#streams.values()) {
      if (!this.#hasRoom(stream) || stream.isInFlight || stream.hasFailed || stream.isPostponed) continue
      if (stream.isThrough) continue
      const leader = this.#cluster.leaderOf(stream.topic, stream.partition)
      if (leader === 'unknown partition') this.#doubt(stream, now)
      if (typeof leader !== 'number') {
        this.#lookUp(stream.topic)
        continue
      }
      stream.unknownSince = undefined
      const byLeader = ready[stream.isBehind ? 'behind' : 'atEnd']
      const streams = byLeader.get(leader)
      if (streams) streams.push(stream)
      else byLeader.set(leader, [stream])
    }
    for (const name of ['behind', 'atEnd'] as const) {
      for (const [leader, streams] of ready[name]) {
        if (!this.#lanes[name].busyLeaders.has(leader)) void this.#fetch(name, leader, streams)
      }
    }
  }

  #hasRoom(stream: PartitionStream): boolean {
    return (
      stream.bufferedBytes === 0 ||
      stream.bufferedBytes + this.#fetchBytes() <= this.#options.maxBufferedBytes
    )
  }

  #fetchBytes(): number {
    return Math.min(MAX_PARTITION_BYTES, Math.ceil(this.#options.maxBufferedBytes / 2))
  }

  async #fetch(name: LaneName, leader: number, streams: readonly PartitionStream[]): Promise<void> {
    const lane = this.#lanes[name]
    const startedAt = this.#parts.clock.now()
    lane.busyLeaders.add(leader)
    for (const stream of streams) {
      stream.isInFlight = true
      if (startedAt - stream.askedAt > TRUSTED_MS) stream.doubt()
    }
    try {
      const connection = await lane.connections.to(leader)
      const maxBytes = this.#fetchBytes()
      const maxWaitMs =
        name === 'atEnd' ? this.#options.maxWaitMs : Math.min(BEHIND_WAIT_MS, this.#options.maxWaitMs)
      const wanted = streams.map(({ topic, partition, from }) => ({ topic, partition, from, maxBytes }))
      const body = encodeFetch(wanted, { maxWaitMs, maxBytes: MAX_FETCH_BYTES })
      const timeoutMs = this.#options.requestTimeoutMs + maxWaitMs
      const fetched = await connection.request(FETCH, body, decodeFetch, timeoutMs)
      const { parts, errorCode, throttleMs } = fetched
      connection.throttle(throttleMs)
      if (errorCode !== KAFKA.none) throw new Error(kafkaErrorName(errorCode))
      const byPlace = new Map(parts.map((part) => [`${part.topic}/${part.partition}`, part]))
      for (const [at, stream] of streams.entries()) {
        const part = byPlace.get(`${stream.topic}/${stream.partition}`)
        // Where doubt came while this was under way, it does not tell: the last batch is not in it.
        const isAnswer = part !== undefined && !stream.isClosed && wanted[at]!.from === stream.from
        if (isAnswer) this.#receive(stream, part, startedAt)
      }
    } catch (error) {
      this.#postpone(streams, messageOf(error))
      for (const { topic } of streams) this.#lookUp(topic)
    } finally {
      for (const stream of streams) stream.isInFlight = false
      const free = () => {
        lane.busyLeaders.delete(leader)
        this.#pump()
      }
      const restMs = name === 'atEnd' ? startedAt + AT_END_EVERY_MS - this.#parts.clock.now() : 0
      if (restMs > 0) this.#parts.clock.after(restMs, free)
      else free()
    }
  }

  #receive(stream: PartitionStream, part: FetchedPart, askedAt: number): void {
    if (part.errorCode === KAFKA.none && part.bytes.length === 0 && stream.isDoubted) {
      stream.isPostponed = true
      void this.#explain(stream)
    } else if (part.errorCode === KAFKA.none) {
      stream.failures = 0
      stream.askedAt = askedAt
      if (part.bytes.length > 0) this.#toTheEnd(stream)
      try {
        stream.push(part)
      } catch (error) {
        stream.fail(error instanceof Error ? error : new Error(String(error)))
      }
    } else if (part.errorCode === KAFKA.offsetOutOfRange) {
      stream.isPostponed = true
      void this.#explain(stream)
    } else if (isRetriableKafkaError(part.errorCode)) {
      this.#postpone([stream], kafkaErrorName(part.errorCode))
      this.#lookUp(stream.topic)
    } else {
      const { topic, partition } = stream
      const name = kafkaErrorName(part.errorCode)
      const message = `The broker refuses to let ${topic}/${partition} be read: ${name}.`
      stream.fail(new EmbudoError('log_refused', message, { facts: { topic, partition, error: name } }))
    }
  }

  // The broker fills an answer in the order asked: who got something asks last the next time.
  #toTheEnd(stream: PartitionStream): void {
    const key = `${stream.topic}/${stream.partition}`
    this.#streams.delete(key)
    this.#streams.set(key, stream)
  }

  // A broker that has just become the leader may answer so for a moment: its bounds decide.
  async #explain(stream: PartitionStream): Promise<void> {
    const { topic, partition, next: from } = stream
    try {
      const bounds = (await boundsOf(this.#cluster, topic, pauseOn(this.#parts.clock))).find(
        (each) => each.partition === partition,
      )
      if (bounds && (from < bounds.start || from > bounds.end)) {
        const { start, end } = bounds
        stream.fail(
          new EmbudoError(
            'offset_out_of_range',
            `${topic}/${partition} has no offset ${from}: it reaches from ${start} to ${end}. ${
              from < start ? 'Its beginning was deleted.' : 'It was cut, or made again.'
            }`,
            { facts: { topic, partition, from, start, end } },
          ),
        )
        return
      }
      this.#postpone([stream], 'OFFSET_OUT_OF_RANGE, but within the bounds')
      if (from === bounds?.start) stream.trust()
    } catch (error) {
      this.#postpone([stream], messageOf(error))
    }
  }

  #postpone(streams: Iterable<PartitionStream>, why: string): void {
    if (this.#isClosed) return
    const { clock, random, notes } = this.#parts
    for (const stream of streams) {
      if (stream.isClosed) continue
      notes.debug({ topic: stream.topic, partition: stream.partition, why }, 'fetch postponed')
      stream.isPostponed = true
      stream.doubt()
      clock.after(backoffMs(stream.failures++, random), () => {
        stream.isPostponed = false
        this.#pump()
      })
    }
  }

  #lookUp(topic: string): void {
    if (this.#lookingUp.has(topic)) return
    this.#lookingUp.add(topic)
    const done = (why: string) => {
      this.#lookingUp.delete(topic)
      const isStuck = (stream: PartitionStream) =>
        stream.topic === topic &&
        !stream.isPostponed &&
        !stream.hasFailed &&
        typeof this.#cluster.leaderOf(topic, stream.partition) !== 'number'
      this.#postpone([...this.#streams.values()].filter(isStuck), why)
      this.#pump()
    }
    this.#cluster.refresh([topic]).then(
      () => done('the cluster knows no leader'),
      (error) => done(messageOf(error)),
    )
  }

  // A broker that has just started may not have heard of a new topic yet.
  #doubt(stream: PartitionStream, now: number): void {
    stream.unknownSince ??= now
    if (now - stream.unknownSince < UNKNOWN_GRACE_MS) return
    const { topic, partition } = stream
    stream.fail(
      new EmbudoError('topic_unknown', `There is no partition ${partition} of the topic ${topic}.`, {
        facts: { topic, partition },
      }),
    )
  }
}

type LaneName = 'behind' | 'atEnd'

interface Lane {
  readonly connections: Connections
  readonly busyLeaders: Set<number>
}

const MIB = 1024 * 1024
const MAX_PARTITION_BYTES = MIB
const MAX_FETCH_BYTES = 8 * MIB
const BEHIND_WAIT_MS = 10
// Where events come all the time, each would otherwise be fetched alone, and applied in a transaction of its own,
// by every reader. One that comes after a pause is fetched at once.
const AT_END_EVERY_MS = 10
const UNKNOWN_GRACE_MS = 1_000
// From one fetch to the next, twice what a broker waits for records. A topic is hardly deleted, made again and filled
// within it; whoever asks later may have stood still meanwhile.
const TRUSTED_MS = 500
