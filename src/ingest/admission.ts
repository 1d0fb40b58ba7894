import { EmbudoError } from '../define/error.ts'
import { ReleaseRate, retryAfterSeconds } from './retry-after.ts'

/**
 * Bounds the bytes in flight: of each request from its first byte (after decompression) until its events are
 * acknowledged and its answer is written. A caller may hold as much as it leaves free: alone half of the bound,
 * beside n others a share of 1 / (n + 2) each, and one that comes anew finds room without anybody counting
 * (dynamic thresholds, as switches share their buffer: Choudhury and Hahne 1998).
 */
export class Admission {
  readonly #maxBytes: number
  readonly #onPushBack: AdmissionOptions['onPushBack']
  readonly #nowMs: () => number
  readonly #rate = new ReleaseRate()
  readonly #callers = new Map<string, Caller>()
  /** Streams that wait for room, the longest waiting first. */
  readonly #waiting = new Set<Waiting>()
  #heldBytes = 0

  constructor({ maxBytes, onPushBack, nowMs = () => performance.now() }: AdmissionOptions) {
    this.#maxBytes = maxBytes
    this.#onPushBack = onPushBack
    this.#nowMs = nowMs
  }

  get heldBytes(): number {
    return this.#heldBytes
  }

  /** Those that hold something. */
  get callers(): number {
    return this.#callers.size
  }

  /** The most that one request may need: half of the bound, which is what it gets where nobody else is. */
  get maxRequestBytes(): number {
    return Math.floor(this.#maxBytes / 2)
  }

  /**
   * Room for a request. Throws `too_many_requests` where the caller holds its share already, `server_busy` where
   * others hold what it would need, and `body_too_large` where no waiting would help.
   */
  admit(name: string, bytes: number): Hold {
    const caller = this.#callers.get(name) ?? { name, heldBytes: 0, holds: 0 }
    this.#claim(caller, 0, bytes)
    this.#ledger.enter(caller)
    return new Hold(this.#ledger, caller, bytes)
  }

  /** For a refusal by the log: how long until what waits now will have left, at the rate at which it does. */
  retryAfterSeconds(): number {
    return retryAfterSeconds(this.#heldBytes, this.#rate.perSecond(this.#nowMs()))
  }

  readonly #ledger: Ledger = {
    claim: (caller, held, bytes) => this.#claim(caller, held, bytes),
    add: (caller, bytes) => {
      caller.heldBytes += bytes
      this.#heldBytes += bytes
    },
    subtract: (caller, bytes) => {
      caller.heldBytes -= bytes
      this.#heldBytes -= bytes
      this.#rate.add(bytes)
      if (this.#waiting.size > 0) this.#wake()
    },
    enter: (caller) => {
      if (caller.holds === 0) this.#callers.set(caller.name, caller)
      caller.holds += 1
    },
    leave: (caller) => {
      caller.holds -= 1
      if (caller.holds === 0) this.#callers.delete(caller.name)
    },
    isOver: (caller) => this.#verdict(caller, 0) !== 'room',
    room: (caller, withinMs) =>
      new Promise((resolve) => {
        const waiting: Waiting = { caller, wake: () => end(true) }
        const timer = setTimeout(() => end(false), withinMs)
        const end = (hasRoom: boolean) => {
          clearTimeout(timer)
          this.#waiting.delete(waiting)
          resolve(hasRoom)
        }
        this.#waiting.add(waiting)
      }),
  }

  #claim(caller: Caller, held: number, bytes: number): void {
    const verdict = this.#verdict(caller, bytes)
    if (verdict !== 'room') {
      if (held + bytes > this.maxRequestBytes) throw tooLarge(this.maxRequestBytes)
      throw this.#pushBack(verdict, caller, bytes)
    }
    caller.heldBytes += bytes
    this.#heldBytes += bytes
  }

  #verdict(caller: Caller, bytes: number): Verdict {
    const callers = this.#callers.size + (caller.holds === 0 ? 1 : 0)
    return verdict(
      {
        maxBytes: this.#maxBytes,
        heldBytes: this.#heldBytes,
        callerBytes: caller.heldBytes,
        callers,
      },
      bytes,
    )
  }

  #pushBack(verdict: 'over its share' | 'full', caller: Caller, bytes: number): EmbudoError {
    const perSecond = this.#rate.perSecond(this.#nowMs())
    this.#onPushBack?.(verdict === 'full' ? 'server_busy' : 'too_many_requests')
    if (verdict === 'full') {
      const seconds = retryAfterSeconds(this.#heldBytes, perSecond)
      return new EmbudoError(
        'server_busy',
        `too much of all callers is in flight (EMBUDO_MAX_IN_FLIGHT_BYTES is ${this.#maxBytes}); send it again in ${seconds} s`,
        { retriable: true, facts: { retryAfterSeconds: seconds } },
      )
    }
    // Its own bytes leave at its part of the rate at which all do.
    const own = perSecond && (perSecond * caller.heldBytes) / Math.max(1, this.#heldBytes)
    const seconds = retryAfterSeconds(caller.heldBytes + bytes, own)
    return new EmbudoError(
      'too_many_requests',
      `this caller has ${caller.heldBytes} bytes in flight, which is its share; send it again in ${seconds} s, and fewer at once`,
      { retriable: true, facts: { retryAfterSeconds: seconds } },
    )
  }

  #wake(): void {
    for (const { caller, wake } of this.#waiting) if (this.#verdict(caller, 0) === 'room') wake()
  }
}

export interface AdmissionOptions {
  readonly maxBytes: number
  /** Somebody was sent away. */
  readonly onPushBack?: (reason: 'too_many_requests' | 'server_busy') => void
  readonly nowMs?: () => number
}

/** What one request holds. Everything is given back by `release`, however often it is called. */
export class Hold {
  readonly #ledger: Ledger
  readonly #caller: Caller
  #bytes: number
  #isReleased = false

  constructor(ledger: Ledger, caller: Caller, bytes: number) {
    this.#ledger = ledger
    this.#caller = caller
    this.#bytes = bytes
  }

  get bytes(): number {
    return this.#bytes
  }

  /** More of the same request. Throws as `admit` does. */
  grow(bytes: number): void {
    if (this.#isReleased) return
    this.#ledger.claim(this.#caller, this.#bytes, bytes)
    this.#bytes += bytes
  }

  /** What is in memory already and cannot be refused: counted, whether there is room or not. */
  add(bytes: number): void {
    if (this.#isReleased) return
    this.#ledger.add(this.#caller, bytes)
    this.#bytes += bytes
  }

  /** Something of the same caller that stays longer, and cannot be refused. */
  beside(bytes: number): Hold {
    this.#ledger.enter(this.#caller)
    this.#ledger.add(this.#caller, bytes)
    return new Hold(this.#ledger, this.#caller, bytes)
  }

  shrink(bytes: number): void {
    if (this.#isReleased) return
    const given = Math.min(bytes, this.#bytes)
    this.#bytes -= given
    this.#ledger.subtract(this.#caller, given)
  }

  /** True where the caller holds more than it leaves free: time to give back before taking more. */
  get isOver(): boolean {
    return this.#ledger.isOver(this.#caller)
  }

  /** Waits until that is no longer so; false when it took too long. */
  room(withinMs: number): Promise<boolean> {
    return this.isOver ? this.#ledger.room(this.#caller, withinMs) : Promise.resolve(true)
  }

  release(): void {
    if (this.#isReleased) return
    this.shrink(this.#bytes)
    this.#isReleased = true
    this.#ledger.leave(this.#caller)
  }

  [Symbol.dispose](): void {
    this.release()
  }
}

export type Verdict = 'room' | 'over its share' | 'full'

interface Held {
  readonly maxBytes: number
  readonly heldBytes: number
  /** Of the caller that asks. */
  readonly callerBytes: number
  /** Those that hold something, and the one that asks. */
  readonly callers: number
}

/** Whether a caller may take so many bytes more, and if not, whose doing that is. */
export const verdict = ({ maxBytes, heldBytes, callerBytes, callers }: Held, bytes: number): Verdict => {
  const own = callerBytes + bytes
  if (own <= maxBytes - heldBytes - bytes) return 'room'
  return own > maxBytes / (callers + 1) ? 'over its share' : 'full'
}

interface Caller {
  readonly name: string
  heldBytes: number
  holds: number
}

interface Waiting {
  readonly caller: Caller
  readonly wake: () => void
}

interface Ledger {
  claim(caller: Caller, held: number, bytes: number): void
  add(caller: Caller, bytes: number): void
  subtract(caller: Caller, bytes: number): void
  enter(caller: Caller): void
  leave(caller: Caller): void
  isOver(caller: Caller): boolean
  room(caller: Caller, withinMs: number): Promise<boolean>
}

const tooLarge = (maxBytes: number): EmbudoError =>
  new EmbudoError(
    'body_too_large',
    `the request takes more than ${maxBytes} bytes, half of EMBUDO_MAX_IN_FLIGHT_BYTES; send fewer events in one, or application/x-ndjson`,
    { facts: { maxBytes } },
  )
