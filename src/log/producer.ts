import { EmbudoError, messageOf } from '../define/error.ts'
import { busy, refused, tooLarge, unknown } from './append-failure.ts'
import { AppendCall, PartitionQueue, type PendingBatch } from './append-queue.ts'
import { backoffMs } from './clock.ts'
import type { Cluster, ClusterParts, Connections } from './cluster.ts'
import { recordSizeBound } from './encode-batch.ts'
import { isRetriableKafkaError, KAFKA, kafkaErrorName } from './kafka-errors.ts'
import type { Appended, AppendRecord, LogFailure } from './port.ts'
import { decodeProduce, encodeProduce, PRODUCE, type ProduceOutcome } from './produce-request.ts'
import { ProducerId } from './producer-id.ts'
import type { Compression } from './record-batch.ts'
import { encodedRecord, RecordBodyWriter } from './record-body.ts'

export interface ProducerOptions {
  readonly maxBatchBytes: number
  readonly maxRequestBytes: number
  readonly maxPendingBytes: number
  readonly maxRequestsInFlight: number
  readonly requestTimeoutMs: number
  readonly deliveryTimeoutMs: number
  readonly compression: Compression
}

/**
 * Appends with acknowledgement of all in-sync replicas, idempotently. Nothing lingers: what arrives while a
 * broker is busy goes with the next request, so batches grow with the load by themselves.
 */
export class Producer {
  readonly #cluster: Cluster
  readonly #connections: Connections
  readonly #options: ProducerOptions
  readonly #parts: ClusterParts
  readonly #queues = new Map<string, PartitionQueue[]>()
  /** The queues that have something to do. */
  readonly #busy = new Set<PartitionQueue>()
  readonly #requestsInFlight = new Map<number, number>()
  readonly #producerId: ProducerId
  readonly #lookingUp = new Set<string>()
  /** Of records that are handed over plain. */
  readonly #bodies = new RecordBodyWriter(64 * 1024)
  #pendingBytes = 0
  #isDrainPlanned = false
  #isSweeping = false
  #isClosed = false
  #whenIdle: (() => void) | undefined
  #lastFault = 'nothing was tried yet'

  constructor(cluster: Cluster, options: ProducerOptions, parts: ClusterParts) {
    this.#cluster = cluster
    this.#connections = cluster.connections()
    this.#producerId = new ProducerId(cluster, parts)
    this.#options = options
    this.#parts = parts
  }

  append(given: readonly AppendRecord[]): Promise<ReadonlyArray<Appended | LogFailure>> {
    if (this.#isClosed) return Promise.reject(new EmbudoError('log_closed', 'The log was closed.'))
    if (given.length === 0) return Promise.resolve([])
    const records = given.map((record) => encodedRecord(record, this.#bodies))
    const sizes = records.map(recordSizeBound)
    let bytes = 0
    for (const size of sizes) bytes += size
    const bound = this.#options.maxPendingBytes
    if (this.#pendingBytes + bytes > bound) return Promise.reject(busy(bytes, this.#pendingBytes, bound))

    this.#pendingBytes += bytes
    const limits = {
      maxBatchBytes: this.#options.maxBatchBytes,
      deadline: this.#parts.clock.now() + this.#options.deliveryTimeoutMs,
    }
    return new Promise((resolve) => {
      const call = new AppendCall(records.length, (outcomes) => {
        this.#pendingBytes -= bytes
        resolve(outcomes)
      })
      for (let index = 0; index < records.length; index++) {
        const record = records[index]!
        const queue = this.#queueOf(record.topic, record.partition)
        this.#busy.add(queue)
        queue.add(record, sizes[index]!, call, index, limits)
      }
      this.#planDrain()
      this.#keepSweeping()
    })
  }

  /** Waits until everything taken has an outcome, which the delivery timeout bounds. */
  async close(): Promise<void> {
    this.#isClosed = true
    if (this.#busy.size > 0) await new Promise<void>((resolve) => (this.#whenIdle = resolve))
    this.#connections.close()
  }

  #queueOf(topic: string, partition: number): PartitionQueue {
    const known = this.#queues.get(topic)?.[partition]
    if (known !== undefined) return known
    const ofTopic = this.#queues.get(topic) ?? []
    const queue = new PartitionQueue(topic, partition)
    ofTopic[partition] = queue
    this.#queues.set(topic, ofTopic)
    return queue
  }

  // Once for everything that arrives in one turn of the event loop.
  #planDrain(): void {
    if (this.#isDrainPlanned) return
    this.#isDrainPlanned = true
    this.#parts.clock.soon(() => {
      this.#isDrainPlanned = false
      this.#drain()
    })
  }

  #drain(): void {
    if (this.#busy.size === 0) return
    const producerId = this.#producerId.current
    if (producerId === undefined) {
      this.#producerId.ask((error) => {
        if (error !== undefined) this.#lastFault = messageOf(error)
        this.#planDrain()
      })
      return
    }
    const ready = this.#readyByLeader()
    for (const [leader, queues] of ready) {
      while (queues.length > 0 && this.#inFlight(leader) < this.#options.maxRequestsInFlight) {
        const batches = this.#takeRequest(queues, producerId)
        if (batches.length > 0) void this.#send(leader, batches)
      }
    }
  }

  #readyByLeader(): Map<number, PartitionQueue[]> {
    const now = this.#parts.clock.now()
    const ready = new Map<number, PartitionQueue[]>()
    const toLookUp = new Set<string>()
    for (const queue of this.#busy) {
      if (queue.inFlight || queue.batches.length === 0 || queue.isPostponed) continue
      const leader = this.#cluster.leaderOf(queue.topic, queue.partition)
      if (typeof leader !== 'number') {
        this.#lastFault = `no leader of ${queue.topic}/${queue.partition} is known (${leader})`
        if (leader === 'unknown partition') this.#refuseUnknown(queue, now)
        toLookUp.add(queue.topic)
        continue
      }
      queue.unknownSince = undefined
      const queues = ready.get(leader)
      if (queues) queues.push(queue)
      else ready.set(leader, [queue])
    }
    for (const topic of toLookUp) this.#lookUp(topic)
    return ready
  }

  #takeRequest(queues: PartitionQueue[], producerId: bigint): Sent[] {
    const batches: Sent[] = []
    let bytes = 0
    for (let queue = queues[0]; queue; queue = queues[0]) {
      const next = queue.batches[0]?.bytes ?? 0
      if (batches.length > 0 && bytes + next > this.#options.maxRequestBytes) break
      queues.shift()
      const batch = queue.start(producerId, this.#parts.clock.now(), this.#options.compression)
      if (batch === undefined) {
        this.#producerId.retire()
        this.#planDrain()
        continue
      }
      // To the end, so that the next request begins with partitions that this one had no room for.
      this.#busy.delete(queue)
      this.#busy.add(queue)
      bytes += next
      batches.push({ queue, batch })
    }
    return batches
  }

  async #send(leader: number, taken: readonly Sent[]): Promise<void> {
    this.#requestsInFlight.set(leader, this.#inFlight(leader) + 1)
    const { requestTimeoutMs } = this.#options
    try {
      const connection = await this.#connections.to(leader)
      const sent = this.#stillWanted(taken)
      if (sent.length === 0) return
      const parts = sent.map(({ queue: { topic, partition }, batch }) => ({
        topic,
        partition,
        batch: batch.encoded!,
      }))
      // The broker gives up waiting for its replicas first, so that its answer still arrives.
      const body = encodeProduce(parts, Math.floor(requestTimeoutMs * 0.8))
      const answer = connection.request(PRODUCE, body, decodeProduce, requestTimeoutMs)
      const mayHaveBeenThere = sent.map(({ batch }) => batch.mayBeThere)
      for (const { batch } of sent) batch.mayBeThere = true
      const { outcomes, throttleMs } = await answer
      connection.throttle(throttleMs)
      const byPlace = new Map(outcomes.map((outcome) => [`${outcome.topic}/${outcome.partition}`, outcome]))
      for (const [at, { queue, batch }] of sent.entries()) {
        const outcome = byPlace.get(`${queue.topic}/${queue.partition}`)
        const why = outcome
          ? this.#judge({ queue, batch }, outcome, mayHaveBeenThere[at]!)
          : 'the broker left it out of its answer'
        if (why === undefined) this.#finish(queue)
        else this.#retry(queue, batch, why)
      }
    } catch (error) {
      for (const { queue, batch } of taken)
        if (queue.inFlight === batch) this.#retry(queue, batch, messageOf(error))
    } finally {
      this.#requestsInFlight.set(leader, this.#inFlight(leader) - 1)
      this.#drain()
      if (this.#busy.size === 0) this.#whenIdle?.()
    }
  }

  // What was given up while the connection was opened is not sent: its caller was told that it is not there.
  #stillWanted(taken: readonly Sent[]): readonly Sent[] {
    for (const { queue, batch } of taken) if (batch.isSettled) this.#letGo(queue)
    return taken.filter(({ batch }) => !batch.isSettled)
  }

  // Settles the batch, or says why it is to be tried again.
  #judge({ queue, batch }: Sent, outcome: ProduceOutcome, mayHaveBeenThere: boolean): string | undefined {
    const { errorCode } = outcome
    const name = kafkaErrorName(errorCode)
    const detail = outcome.errorMessage ? `${name}: ${outcome.errorMessage}` : name
    if (errorCode === KAFKA.none) {
      queue.failures = 0
      batch.succeed(queue.topic, queue.partition, outcome.baseOffset)
      batch.forgetBytes()
      return undefined
    }
    if (isRetriableKafkaError(errorCode)) return detail
    queue.renew()
    if (TOO_LARGE.has(errorCode) && batch.records.length > 1 && !batch.isSettled) {
      queue.batches.unshift(...batch.halves())
    } else if (OTHER_SEQUENCE.has(errorCode) && !mayHaveBeenThere) {
      // The broker has lost track of this producer. What it cannot have is numbered anew and sent again; what
      // it may have would perhaps be there twice.
      batch.renumber()
      return detail
    } else if (TOO_LARGE.has(errorCode)) {
      this.#fail(queue, batch, tooLarge(detail))
    } else if (errorCode === KAFKA.duplicateSequence) {
      this.#fail(queue, batch, unknown('it is in the log, but the broker no longer says where'))
    } else if (mayHaveBeenThere) {
      const lost = `the answer to an earlier attempt was lost, and then came ${detail}`
      this.#fail(queue, batch, unknown(lost))
    } else {
      this.#fail(queue, batch, refused(detail))
    }
    return undefined
  }

  // What a call has behind a batch that is to be sent again must not get into the log before it: its sender would
  // send only the first part again, and events of one subject would change places.
  #fail(queue: PartitionQueue, batch: PendingBatch, failure: LogFailure): void {
    batch.fail(failure)
    if (!failure.retriable) return
    for (let last = batch, next = queue.batches[0]; next && last.goesOnIn(next); next = queue.batches[0]) {
      queue.batches.shift()
      if (next.encoded) queue.renew()
      next.fail(next.mayBeThere ? failure : { ...failure, code: 'log_unavailable' })
      last = next
    }
  }

  // Its batch in flight was given up: the next one begins a new epoch.
  #letGo(queue: PartitionQueue): void {
    queue.renew()
    this.#finish(queue)
  }

  #finish(queue: PartitionQueue): void {
    queue.inFlight = undefined
    if (queue.isIdle) this.#busy.delete(queue)
  }

  #retry(queue: PartitionQueue, batch: PendingBatch, why: string): void {
    this.#lastFault = why
    if (batch.isSettled) return void this.#letGo(queue)
    queue.inFlight = undefined
    queue.batches.unshift(batch)
    this.#parts.notes.warn({ topic: queue.topic, partition: queue.partition, why }, 'append tried again')
    this.#postpone([queue])
    this.#lookUp(queue.topic)
  }

  #postpone(queues: Iterable<PartitionQueue>): void {
    const { clock, random } = this.#parts
    for (const queue of queues) {
      queue.isPostponed = true
      clock.after(backoffMs(queue.failures++, random), () => {
        queue.isPostponed = false
        this.#planDrain()
      })
    }
  }

  #lookUp(topic: string): void {
    if (this.#lookingUp.has(topic)) return
    this.#lookingUp.add(topic)
    const done = () => {
      this.#lookingUp.delete(topic)
      this.#postpone([...this.#busy].filter((queue) => queue.topic === topic && this.#isWithoutLeader(queue)))
      this.#planDrain()
    }
    this.#cluster.refresh([topic]).then(done, (error) => {
      this.#lastFault = messageOf(error)
      done()
    })
  }

  #isWithoutLeader({ topic, partition, inFlight, isPostponed }: PartitionQueue): boolean {
    return !inFlight && !isPostponed && typeof this.#cluster.leaderOf(topic, partition) !== 'number'
  }

  // A broker that has just started may not have heard of a new topic yet.
  #refuseUnknown(queue: PartitionQueue, now: number): void {
    queue.unknownSince ??= now
    if (now - queue.unknownSince < UNKNOWN_GRACE_MS) return
    queue.unknownSince = undefined
    const detail = `There is no partition ${queue.partition} of the topic ${queue.topic}.`
    for (const batch of queue.batches.splice(0)) {
      if (batch.encoded) queue.renew()
      batch.fail(batch.mayBeThere ? unknown(detail) : refused(detail))
    }
    if (queue.isIdle) this.#busy.delete(queue)
  }

  #inFlight(leader: number): number {
    return this.#requestsInFlight.get(leader) ?? 0
  }

  // Whatever goes on elsewhere, nobody waits past the deadline.
  #keepSweeping(): void {
    if (this.#isSweeping) return
    this.#isSweeping = true
    const sweep = () => {
      const now = this.#parts.clock.now()
      for (const queue of this.#busy) this.#expire(queue, now)
      this.#isSweeping = this.#busy.size > 0
      if (this.#isSweeping) later()
      else this.#whenIdle?.()
    }
    // Answers that came while this process stood still are read first.
    const later = () => this.#parts.clock.after(SWEEP_MS, () => this.#parts.clock.soon(sweep))
    later()
  }

  #expire(queue: PartitionQueue, now: number): void {
    const { inFlight } = queue
    if (inFlight && inFlight.deadline <= now) this.#fail(queue, inFlight, this.#overdue(inFlight))
    for (let batch = queue.batches[0]; batch && batch.deadline <= now; batch = queue.batches[0]) {
      queue.batches.shift()
      if (batch.encoded) queue.renew()
      this.#fail(queue, batch, this.#overdue(batch))
    }
    if (queue.isIdle) this.#busy.delete(queue)
  }

  #overdue(batch: PendingBatch): LogFailure {
    const detail = `not acknowledged within ${this.#options.deliveryTimeoutMs} ms; last: ${this.#lastFault}`
    return {
      failed: true,
      code: batch.mayBeThere ? 'log_timeout' : 'log_unavailable',
      detail,
      retriable: true,
    }
  }
}

interface Sent {
  readonly queue: PartitionQueue
  readonly batch: PendingBatch
}

const SWEEP_MS = 50
const UNKNOWN_GRACE_MS = 1_000

const TOO_LARGE: ReadonlySet<number> = new Set([KAFKA.messageTooLarge, KAFKA.recordListTooLarge])
const OTHER_SEQUENCE: ReadonlySet<number> = new Set([
  KAFKA.outOfOrderSequence,
  KAFKA.invalidProducerEpoch,
  KAFKA.unknownProducerId,
])
