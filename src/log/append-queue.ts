import { type BatchIdentity, encodeBatch } from './encode-batch.ts'
import type { Appended, EncodedRecord, LogFailure } from './port.ts'
import type { Compression } from './record-batch.ts'

/** One call of `append`: answered once each of its records has an outcome. */
export class AppendCall {
  readonly #outcomes: Array<Appended | LogFailure>
  readonly #answer: (outcomes: ReadonlyArray<Appended | LogFailure>) => void
  #left: number

  constructor(count: number, answer: (outcomes: ReadonlyArray<Appended | LogFailure>) => void) {
    this.#outcomes = new Array(count)
    this.#left = count
    this.#answer = answer
  }

  settle(index: number, outcome: Appended | LogFailure): void {
    this.#outcomes[index] = outcome
    this.#left--
    if (this.#left === 0) this.#answer(this.#outcomes)
  }
}

/** Records of one partition that go to the broker together, and are there together or not at all. */
export class PendingBatch {
  readonly records: EncodedRecord[] = []
  readonly #calls: AppendCall[] = []
  readonly #indexes: number[] = []
  /** When the caller is answered, whatever has become of the batch. */
  readonly deadline: number
  bytes = 0
  /** Set once it was numbered: sent again, it goes with the same bytes, so that the broker knows it. */
  encoded: Buffer | undefined
  identity: BatchIdentity | undefined
  /** An earlier attempt may have reached the broker's log without our hearing of it. */
  mayBeThere = false
  isSettled = false

  constructor(deadline: number) {
    this.deadline = deadline
  }

  add(record: EncodedRecord, bytes: number, call: AppendCall, index: number): void {
    this.records.push(record)
    this.#calls.push(call)
    this.#indexes.push(index)
    this.bytes += bytes
  }

  /** Whether a call that has records in this batch has more of them in `next`, which comes right behind it. */
  goesOnIn(next: PendingBatch): boolean {
    return this.#calls.at(-1) === next.#calls[0]
  }

  succeed(topic: string, partition: number, baseOffset: number): void {
    this.#settle((place) => ({ topic, partition, offset: baseOffset + place }))
  }

  fail(failure: LogFailure): void {
    this.#settle(() => failure)
  }

  /** Once the broker has it: its memory goes back now, not when the garbage is collected. */
  forgetBytes(): void {
    const memory = this.encoded?.buffer
    // A small one shares its memory with others.
    if (memory instanceof ArrayBuffer && memory.byteLength === this.encoded?.length) memory.transfer(0)
    this.encoded = undefined
  }

  /** For a batch that the broker certainly does not have: the next attempt counts as its first. */
  renumber(): void {
    this.encoded = undefined
    this.mayBeThere = false
  }

  /** For a batch that is too large as a whole: the broker judges each half by itself. */
  halves(): [PendingBatch, PendingBatch] {
    const halves: [PendingBatch, PendingBatch] = [
      new PendingBatch(this.deadline),
      new PendingBatch(this.deadline),
    ]
    const middle = this.records.length >> 1
    const bytesEach = Math.ceil(this.bytes / this.records.length)
    for (let at = 0; at < this.records.length; at++) {
      halves[at < middle ? 0 : 1].add(this.records[at]!, bytesEach, this.#calls[at]!, this.#indexes[at]!)
    }
    return halves
  }

  #settle(outcomeOf: (place: number) => Appended | LogFailure): void {
    if (this.isSettled) return
    this.isSettled = true
    for (let place = 0; place < this.#calls.length; place++) {
      this.#calls[place]!.settle(this.#indexes[place]!, outcomeOf(place))
    }
  }
}

/**
 * What waits to be appended to one partition, in order. At most one batch is with the broker at a time, which
 * keeps the order through any retry; the broker drops what it already has by producer, epoch and sequence.
 */
export class PartitionQueue {
  readonly topic: string
  readonly partition: number
  readonly batches: PendingBatch[] = []
  inFlight: PendingBatch | undefined
  /** After a failure, for a moment. */
  isPostponed = false
  failures = 0
  /** Since when the cluster says that there is no such partition. */
  unknownSince: number | undefined
  #producerId: bigint | undefined
  #epoch = 0
  #sequence = 0

  constructor(topic: string, partition: number) {
    this.topic = topic
    this.partition = partition
  }

  get isIdle(): boolean {
    return this.batches.length === 0 && this.inFlight === undefined
  }

  add(
    record: EncodedRecord,
    bytes: number,
    call: AppendCall,
    index: number,
    limits: { readonly maxBatchBytes: number; readonly deadline: number },
  ): void {
    let batch = this.batches.at(-1)
    const isOpen =
      batch !== undefined &&
      batch.encoded === undefined &&
      batch.bytes + bytes <= limits.maxBatchBytes &&
      limits.deadline - batch.deadline <= DEADLINES_SHARED_MS
    if (batch === undefined || !isOpen) {
      batch = new PendingBatch(limits.deadline)
      this.batches.push(batch)
    }
    batch.add(record, bytes, call, index)
  }

  /** Takes the first batch, numbered and encoded. `undefined` when the epochs of this producer are used up. */
  start(producerId: bigint, now: number, compression: Compression): PendingBatch | undefined {
    const batch = this.batches[0]
    if (batch === undefined) return undefined
    if (batch.encoded === undefined) {
      if (this.#sequence + batch.records.length > LAST_SEQUENCE) this.renew()
      if (this.#producerId === undefined || this.#epoch > LAST_EPOCH) {
        if (this.#producerId === producerId) return undefined
        this.#producerId = producerId
        this.#epoch = 0
        this.#sequence = 0
      }
      batch.identity = {
        producerId: this.#producerId,
        producerEpoch: this.#epoch,
        baseSequence: this.#sequence,
      }
      batch.encoded = encodeBatch(batch.records, now, batch.identity, compression)
      this.#sequence += batch.records.length
    }
    this.batches.shift()
    this.inFlight = batch
    return batch
  }

  /**
   * A new epoch begins at sequence 0, so that a batch of which nothing is known leaves no gap; and the broker
   * refuses what still arrives under the old one, so that it cannot land behind later records.
   */
  renew(): void {
    this.#epoch++
    this.#sequence = 0
  }
}

// While a broker is away, records do not join a batch that is about to be given up.
const DEADLINES_SHARED_MS = 500

// Java's Short.MAX_VALUE and Integer.MAX_VALUE. A sequence could wrap to 0, but not every broker agrees how.
const LAST_EPOCH = 0x7fff
const LAST_SEQUENCE = 0x7fff_ffff
