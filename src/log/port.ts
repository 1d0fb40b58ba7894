/**
 * The append-only log as the rest of the program sees it. Topic names in here are those of the broker, prefix
 * included. Offsets are numbers: 2^53 records a partition are enough.
 */

export interface TopicSpec {
  readonly topic: string
  readonly partitions: number
  readonly replication: number
  /** Kafka's topic settings, for example `retention.ms`. */
  readonly settings: Readonly<Record<string, string>>
}

/** `EncodedRecord` is what is appended by the million; `PlainRecord` is for whoever writes a few. */
export type AppendRecord = EncodedRecord | PlainRecord

export interface EncodedRecord {
  readonly topic: string
  readonly partition: number
  /** Key, value and headers as record-body.ts writes them. */
  readonly body: Buffer
}

export interface PlainRecord extends RecordContent {
  readonly topic: string
  readonly partition: number
}

export interface RecordContent {
  readonly key: Buffer
  readonly value: Buffer
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>
}

export interface Appended {
  readonly topic: string
  readonly partition: number
  readonly offset: number
}

/** A record as read. `key` and `value` are views into the fetched bytes: they stay valid while they are held. */
export interface LogRecord {
  readonly offset: number
  /** When it was appended, in milliseconds since the epoch. */
  readonly timestamp: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  /** The first header of that name as text; scanned for on each call, nothing is decoded before. */
  header(name: string): string | undefined
  /**
   * Copies the first header of that name into `into`, from `at` on, as far as it fits. Answers how long it is, -1
   * where there is none. For what is asked of every record: it makes no object.
   */
  copyHeader(name: string, into: Buffer, at: number): number
  headers(): Record<string, string>
  /** For whoever decodes it, and found by whoever comes next: a record is read by several, and decoded once. */
  decoded?: unknown
}

/** One that comes from the log itself. */
export interface WholeRecord extends LogRecord {
  /** Key, value and headers byte for byte, as `EncodedRecord` has them: what a copy is made from. */
  body(): Buffer
}

export interface LogBatch {
  readonly topic: string
  readonly partition: number
  /** Ascending by offset; never empty. */
  readonly records: readonly WholeRecord[]
  /** One past the last record that consumers may read, as the broker said with this batch. */
  readonly highWatermark: number
  /**
   * Offsets between the batch before and the last record of this one that hold no record: the markers of other
   * producers' transactions. With a read's first batch, those from where the read began.
   */
  readonly markers: number
}

export interface PartitionBounds {
  readonly partition: number
  /** The first offset still there. */
  readonly start: number
  /** One past the last record that consumers may read. */
  readonly end: number
}

export interface PartitionOffset {
  readonly partition: number
  readonly offset: number
}

export interface Log extends AsyncDisposable {
  /**
   * Creates those that are missing. Throws `partitions_differ` where a topic exists with another number of
   * partitions: the number is fixed when a topic is made, since keys would move.
   */
  ensureTopics(specs: readonly TopicSpec[]): Promise<void>

  bounds(topic: string): Promise<PartitionBounds[]>

  /**
   * Of each partition, the offset of the first record that was appended at that time (milliseconds since the epoch)
   * or later; the partition's end where there is none.
   */
  offsetsAt(topic: string, time: number): Promise<PartitionOffset[]>

  /**
   * Appends with acknowledgement of all in-sync replicas, each partition in the order given; a call's records
   * of a partition come after those of earlier calls. The answer has one element a record, in order: its place,
   * or why it is not known to be there. Rejects, without having taken anything, with `log_busy` (retriable)
   * when the bytes that wait to be appended would pass the configured bound, and with `log_closed` after close.
   */
  append(records: readonly AppendRecord[]): Promise<ReadonlyArray<Appended | LogFailure>>

  /** Readers are independent: a slow one holds up no other. */
  reader(options?: ReaderOptions): LogReader

  /**
   * Writes down where a consumer group stands, for other tools to see; the group needs no members, and nothing here
   * reads it back. Throws `log_unavailable` (retriable), `log_refused` where the broker does not allow it or others
   * are members of the group.
   */
  mirrorOffsets(group: string, offsets: readonly NextOffset[]): Promise<void>

  /** Resolves if the broker answers; otherwise throws what is wrong. */
  ping(): Promise<void>
}

/** The first offset of a partition that is not read. */
export interface NextOffset {
  readonly topic: string
  readonly partition: number
  readonly offset: number
}

/** A record whose append failed. `retriable` when trying again may help; the outcome is unknown unless `refused`. */
export interface LogFailure {
  readonly failed: true
  readonly code: 'log_unavailable' | 'log_timeout' | 'record_too_large' | 'log_refused'
  readonly detail: string
  readonly retriable: boolean
}

export interface ReaderOptions {
  /** Fetched and not yet taken, for each partition. Default 4 MiB. */
  readonly maxBufferedBytes?: number
  /** How long the broker may hold a fetch that finds nothing. Default 250. */
  readonly maxWaitMs?: number
}

export interface LogReader extends AsyncDisposable {
  /**
   * The records of one partition from an offset on, as they come; goes on until `signal` aborts, then ends
   * without an error. Lost connections and moved leaders are waited out. Throws `offset_out_of_range` where
   * the log has no such offset (its start has passed it, or it was cut), and `topic_unknown`.
   * One read of a partition at a time for each reader.
   *
   * With `until`, at most the log's end when it was asked for, ends by itself once everything before it was given:
   * exactly, also where its last offsets hold the markers of transactions alone. The last batch may reach beyond it.
   */
  read(
    topic: string,
    partition: number,
    from: number,
    signal: AbortSignal,
    until?: number,
  ): AsyncIterable<LogBatch>
}

/** Kafka's default placement: murmur2 of the key. Producers in other languages agree with it. */
export { partitionFor } from './partitioner.ts'
