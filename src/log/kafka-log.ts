import { EmbudoError } from '../define/error.ts'
import { patiently } from '../define/patiently.ts'
import { type LogClock, type LogNotes, noNotes, pauseOn, systemClock } from './clock.ts'
import { Cluster, type ClusterParts } from './cluster.ts'
import { commitOffsets } from './group-offsets.ts'
import { KafkaReader } from './kafka-reader.ts'
import type { Log, LogReader, ReaderOptions } from './port.ts'
import { Producer } from './producer.ts'
import type { Compression } from './record-batch.ts'
import { boundsOf, ensureTopics, offsetsAt } from './topics.ts'

export interface KafkaLogOptions {
  /** host:port of the brokers to ask first. */
  readonly brokers: readonly string[]
  readonly clientId: string
  /** As `tls.connect` takes it; true for its defaults. */
  readonly ssl?: boolean | object
  /** As kafkajs takes it: mechanism (plain, scram-sha-256, scram-sha-512, oauthbearer, aws) and credentials. */
  readonly sasl?: object
  /** Of one partition's records in one request. Default 512 KiB; a larger record goes alone. */
  readonly maxBatchBytes?: number
  /** Of all partitions' records in one request. Default 1 MiB. */
  readonly maxRequestBytes?: number
  /** What may wait to be acknowledged before `log_busy`. Default 64 MiB. */
  readonly maxPendingBytes?: number
  /** Produce requests that one broker may have at a time. Default 2. */
  readonly maxRequestsInFlight?: number
  /** Default 3 s. */
  readonly connectTimeoutMs?: number
  /** After which a request without an answer is tried again over a new connection. Default 5 s. */
  readonly requestTimeoutMs?: number
  /** Within which every append has its answer. Default 10 s. */
  readonly deliveryTimeoutMs?: number
  /** Default none. */
  readonly compression?: Compression
  /** Whether what is read is checked against its checksum. Default true. */
  readonly checkCrc?: boolean
}

export interface KafkaLogParts {
  readonly clock?: LogClock
  readonly random?: () => number
  /** A pino logger will do. */
  readonly notes?: LogNotes
}

/** The log on Kafka. Throws `log_unavailable` where no broker answers, `log_authentication_failed`. */
export async function kafkaLog(options: KafkaLogOptions, given: KafkaLogParts = {}): Promise<Log> {
  const parts: ClusterParts = {
    clock: given.clock ?? systemClock,
    random: given.random ?? Math.random,
    notes: given.notes ?? noNotes,
  }
  const log = new KafkaLog(options, parts)
  try {
    await patiently(pauseOn(parts.clock), { attempts: 4 }, () => log.ping())
    return log
  } catch (error) {
    await log[Symbol.asyncDispose]()
    throw error
  }
}

class KafkaLog implements Log {
  readonly #cluster: Cluster
  readonly #producer: Producer
  readonly #parts: ClusterParts
  readonly #readers = new Set<KafkaReader>()
  readonly #readerDefaults: { readonly requestTimeoutMs: number; readonly checkCrc: boolean }
  #isClosed = false

  constructor(options: KafkaLogOptions, parts: ClusterParts) {
    const requestTimeoutMs = options.requestTimeoutMs ?? 5_000
    this.#parts = parts
    this.#cluster = new Cluster(
      { ...options, requestTimeoutMs, connectTimeoutMs: options.connectTimeoutMs ?? 3_000 },
      parts,
    )
    this.#producer = new Producer(
      this.#cluster,
      {
        maxBatchBytes: options.maxBatchBytes ?? 512 * KIB,
        maxRequestBytes: options.maxRequestBytes ?? 1024 * KIB,
        maxPendingBytes: options.maxPendingBytes ?? 64 * 1024 * KIB,
        maxRequestsInFlight: options.maxRequestsInFlight ?? 2,
        deliveryTimeoutMs: options.deliveryTimeoutMs ?? 10_000,
        compression: options.compression ?? 'none',
        requestTimeoutMs,
      },
      parts,
    )
    this.#readerDefaults = { requestTimeoutMs, checkCrc: options.checkCrc ?? true }
  }

  ensureTopics: Log['ensureTopics'] = async (specs) => {
    await ensureTopics(this.#cluster, specs, pauseOn(this.#parts.clock))
  }

  bounds: Log['bounds'] = async (topic) => await boundsOf(this.#cluster, topic, pauseOn(this.#parts.clock))

  offsetsAt: Log['offsetsAt'] = async (topic, time) =>
    await offsetsAt(this.#cluster, topic, time, pauseOn(this.#parts.clock))

  append: Log['append'] = (records) => this.#producer.append(records)

  reader(options: ReaderOptions = {}): LogReader {
    if (this.#isClosed) throw new EmbudoError('log_closed', 'The log was closed.')
    const reader = new KafkaReader(
      this.#cluster,
      { ...options, ...this.#readerDefaults },
      this.#parts,
      (closed) => this.#readers.delete(closed),
    )
    this.#readers.add(reader)
    return reader
  }

  mirrorOffsets: Log['mirrorOffsets'] = (group, offsets) => commitOffsets(this.#cluster, group, offsets)

  async ping(): Promise<void> {
    if (this.#isClosed) throw new EmbudoError('log_closed', 'The log was closed.')
    await this.#cluster.ping()
  }

  /** Waits for the appends that were taken, then ends every reader. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    await this.#producer.close()
    await Promise.all([...this.#readers].map((reader) => reader[Symbol.asyncDispose]()))
    this.#cluster.close()
  }
}

const KIB = 1024
