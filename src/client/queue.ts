import { SendError, type SentEvent } from './error.ts'

export interface Delivered {
  readonly id: string
  /** Of the request that took it, as the header `Embudo-Position` takes it back; undefined where it cannot be read. */
  readonly position: string | undefined
}

/** An event on its way, written out once: whoever changes the data afterwards changes nothing here. */
export interface Pending {
  readonly id: string
  readonly text: string
  /** Of the text, in UTF-8. */
  readonly bytes: number
  /** Counts up with every event of this client. */
  readonly number: number
  /** When it came, on the clock that nobody sets. */
  readonly since: number
  readonly settle: (result: Delivered | SendError) => void
  /** An attempt has had no answer, or none about this event. */
  mayHaveArrived: boolean
  /** What went wrong last, for a person. */
  because: string
}

export interface QueueLimits {
  readonly maxQueuedEvents: number
  readonly maxQueuedBytes: number
}

/** What waits or is on its way, in the order it happened: nothing is taken out of the middle to be sent earlier. */
export class EventQueue {
  readonly #limits: QueueLimits
  #events: Pending[] = []
  #bytes = 0
  #largest = 1

  constructor(limits: QueueLimits) {
    this.#limits = limits
  }

  get length(): number {
    return this.#events.length
  }

  get bytes(): number {
    return this.#bytes
  }

  get first(): Pending | undefined {
    return this.#events[0]
  }

  get all(): readonly Pending[] {
    return this.#events
  }

  /** Why it cannot be taken. */
  refusal({ bytes }: Pending): SendError | undefined {
    const { maxQueuedEvents, maxQueuedBytes } = this.#limits
    if (bytes > maxQueuedBytes) return tooLarge(bytes, maxQueuedBytes)
    this.#largest = Math.max(this.#largest, bytes)
    const hasRoom = this.#events.length < maxQueuedEvents && this.#bytes + bytes <= maxQueuedBytes
    return hasRoom ? undefined : queueFull(this.#limits)
  }

  /** How many events of the largest size seen so far may come. */
  get room(): number {
    const { maxQueuedEvents, maxQueuedBytes } = this.#limits
    const ofBytes = Math.floor((maxQueuedBytes - this.#bytes) / this.#largest)
    return Math.min(maxQueuedEvents - this.#events.length, ofBytes)
  }

  get isHalfEmpty(): boolean {
    const { maxQueuedEvents, maxQueuedBytes } = this.#limits
    return this.#events.length <= maxQueuedEvents / 2 && this.#bytes <= maxQueuedBytes / 2
  }

  add(event: Pending): void {
    this.#events.push(event)
    this.#bytes += event.bytes
  }

  /** The first ones, as many as fit, and at least one. */
  head(maxEvents: number, maxBytes: number): readonly Pending[] {
    let bytes = 2
    let count = 0
    for (const event of this.#events) {
      bytes += event.bytes + 1
      if (count === maxEvents || (count > 0 && bytes > maxBytes)) break
      count += 1
    }
    return this.#events.slice(0, count)
  }

  /** Takes out those of the first `count` that are settled. */
  settleHead(count: number, resultOf: (event: Pending, index: number) => Delivered | SendError | undefined) {
    const left: Pending[] = []
    const settled: [Pending, Delivered | SendError][] = []
    for (const [index, event] of this.#events.slice(0, count).entries()) {
      const result = resultOf(event, index)
      if (result === undefined) left.push(event)
      else settled.push([event, result])
    }
    this.#events.splice(0, count, ...left)
    // Only now: whoever hears of a result may send, flush or close, and finds the queue as it is.
    for (const [{ bytes }] of settled) this.#bytes -= bytes
    for (const [event, result] of settled) event.settle(result)
    return settled
  }
}

/** `["a","b"]` of what is JSON already. */
export const bodyOf = (events: readonly Pending[]): string => `[${events.map(({ text }) => text).join(',')}]`

/** Of what the client has written itself. */
export const eventOf = (text: string): SentEvent => JSON.parse(text) as SentEvent

const queueFull = ({ maxQueuedEvents, maxQueuedBytes }: QueueLimits): SendError =>
  new SendError(
    'queue_full',
    `the queue is full (at most ${maxQueuedEvents} events, ${maxQueuedBytes} bytes): await ready() before send, ` +
      'or raise maxQueuedEvents and maxQueuedBytes',
    { retriable: true },
  )

const tooLarge = (bytes: number, maxQueuedBytes: number): SendError =>
  new SendError('event_too_large', `the event has ${bytes} bytes, the queue takes ${maxQueuedBytes}`)
