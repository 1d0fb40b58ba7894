import { SendError } from './error.ts'
import type { Settings } from './options.ts'
import type { PageListener } from './page.ts'
import { laterPosition } from './position.ts'
import { bodyOf, type Delivered, EventQueue, type Pending } from './queue.ts'
import { backOffMs, retryAfterMs } from './retry.ts'
import type { Surroundings } from './surroundings.ts'
import { judge, type Outcome, unanswered, type Verdict } from './verdict.ts'

/**
 * Browsers let a page have 64 KiB of keepalive requests on their way, all of them together. A page's requests stay
 * below that, so that the one on its way when the page is hidden can go again as one that outlives it.
 */
const keepaliveBytes = 60_000
const leastKeepaliveBytes = 4_000

interface Request {
  readonly batch: readonly Pending[]
  readonly isKeepalive: boolean
  readonly stop: AbortController
  /** Calls its patience off. */
  readonly done: () => void
}

/** What an answer says besides its body. */
interface Heard {
  readonly status?: number
  readonly position?: string | undefined
  readonly askedMs?: number | undefined
}

/**
 * Sends what is queued, one request at a time: a batch that fails must not be overtaken by a later one that has
 * events of the same subject. What has no answer goes again with the same ids, in front of all that came later; what
 * stands in the log already is recognised there. So of an answer that took some events and put others off only the
 * latter go again: to send those taken a second time would change nothing.
 */
export class Delivery implements PageListener {
  readonly queue: EventQueue
  /** The last place per partition of everything that was accepted. */
  position: string | undefined

  readonly #settings: Settings
  readonly #surroundings: Surroundings
  /** Told whenever events have left the queue. */
  readonly #onSettled: () => void
  #request: Request | undefined
  #callOff: (() => void) | undefined
  #isPlanned = false
  #failures = 0
  /** Nothing is sent before: back-off, or what the server asked for. */
  #notBefore = 0
  #maxBytes: number
  #keepaliveBytes = keepaliveBytes
  #isLeaving = false
  /** Somebody waits: nothing lingers. */
  #isUrgent: () => boolean

  constructor(
    settings: Settings,
    surroundings: Surroundings,
    { isUrgent, onSettled }: { readonly isUrgent: () => boolean; readonly onSettled: () => void },
  ) {
    this.queue = new EventQueue(settings)
    this.#settings = settings
    this.#surroundings = surroundings
    this.#isUrgent = isUrgent
    this.#onSettled = onSettled
    const { maxBatchBytes } = settings
    this.#maxBytes = surroundings.page === undefined ? maxBatchBytes : Math.min(maxBatchBytes, keepaliveBytes)
  }

  /** Once for all that is sent in one turn, so that it goes together. */
  plan(): void {
    if (this.#isPlanned) return
    this.#isPlanned = true
    queueMicrotask(() => {
      this.#isPlanned = false
      if (this.#isLeaving) this.#hurry()
      else this.#next()
    })
  }

  hidden(): void {
    this.#hurry()
  }

  leaving(): void {
    this.#isLeaving = true
    this.#hurry()
  }

  back(): void {
    this.#isLeaving = false
    this.#keepaliveBytes = keepaliveBytes
  }

  online(): void {
    this.#notBefore = 0
    this.#next()
  }

  /** Settles all that is left with the error; nothing is sent any more. */
  stop(error: (event: Pending) => SendError): void {
    this.#abandon()
    this.#callOff?.()
    this.queue.settleHead(this.queue.length, error)
  }

  /** Decides what to do now: nothing, wait, or send. Called whenever something may have changed. */
  #next(): void {
    if (this.#request !== undefined) return
    this.#callOff?.()
    this.#callOff = undefined
    this.#giveUpTheLate()
    const { first } = this.queue
    if (first === undefined) return
    const waitMs = this.#dueAt(first) - this.#surroundings.elapsed()
    if (waitMs <= 0) this.#send()
    // A timer only while there is something to send: it keeps a process of Node alive, as it should.
    else this.#callOff = this.#surroundings.after(waitMs, () => this.#next())
  }

  #dueAt(first: Pending): number {
    const { lingerMs, maxBatchEvents, deliveryTimeoutMs } = this.#settings
    const isFull = this.queue.length >= maxBatchEvents || this.queue.bytes >= this.#maxBytes
    const lingers = !isFull && this.#failures === 0 && !this.#isUrgent() && !this.#isHidden
    const dueAt = Math.max(this.#notBefore, lingers ? first.since + lingerMs : 0)
    return Math.min(dueAt, first.since + deliveryTimeoutMs)
  }

  get #isHidden(): boolean {
    return this.#surroundings.page?.isHidden() ?? false
  }

  /** They came in order, so the late ones are the first. */
  #giveUpTheLate(): void {
    const { deliveryTimeoutMs } = this.#settings
    const now = this.#surroundings.elapsed()
    const late = this.queue.all.findIndex(({ since }) => since + deliveryTimeoutMs > now)
    const count = late === -1 ? this.queue.length : late
    if (count === 0) return
    this.queue.settleHead(count, (event) => gaveUp(event, deliveryTimeoutMs))
    this.#onSettled()
  }

  /** Now, whatever it would have waited for: there may be no later. */
  #hurry(): void {
    const last = this.#request
    if (last !== undefined) {
      const isCovered = last.isKeepalive && last.batch.length === this.queue.length
      const piece = this.queue.head(this.#settings.maxBatchEvents, this.#keepaliveBytes)
      if (isCovered || piece.length < last.batch.length) return
      // A request that does not outlive the page goes again as one that does, with what came behind it. In one
      // request, since two at a time could overtake one another.
      this.#abandon()
    }
    this.#notBefore = 0
    if (this.queue.length > 0) this.#send()
  }

  #abandon(): void {
    const request = this.#request
    this.#request = undefined
    for (const event of request?.batch ?? []) event.mayHaveArrived = true
    request?.done()
    request?.stop.abort()
  }

  #send(): void {
    const { maxBatchEvents, requestTimeoutMs } = this.#settings
    const isHidden = this.#isHidden || this.#isLeaving
    const maxBytes = isHidden ? Math.min(this.#maxBytes, this.#keepaliveBytes) : this.#maxBytes
    const batch = this.queue.head(maxBatchEvents, maxBytes)
    const body = bodyOf(batch)
    const stop = new AbortController()
    const isKeepalive = isHidden && batch.reduce((sum, { bytes }) => sum + bytes + 1, 1) <= keepaliveBytes
    this.#callOff?.()
    const patience = this.#surroundings.after(requestTimeoutMs, () => {
      stop.abort()
      over(unanswered(`no answer within ${requestTimeoutMs} ms`, batch.length))
    })
    const request: Request = { batch, isKeepalive, stop, done: patience }
    this.#request = request
    const over = (verdict: Verdict, heard: Heard = {}) => {
      if (this.#request !== request) return
      this.#request = undefined
      patience()
      this.#settle(request, verdict, heard)
    }
    this.#post(body, isKeepalive, stop.signal).then(
      ({ text, ...heard }) => over(judge({ status: heard.status, text }, batch.length), heard),
      (error: unknown) =>
        over(unanswered(error instanceof Error ? error.message : String(error), batch.length)),
    )
  }

  async #post(body: string, keepalive: boolean, signal: AbortSignal) {
    const { endpoint, fetch, headers } = this.#settings
    const response = await fetch(endpoint, {
      method: 'POST',
      headers: { ...headers(), 'content-type': 'application/json' },
      body,
      keepalive,
      signal,
    })
    const asked = response.headers.get('retry-after')
    return {
      status: response.status,
      text: await response.text(),
      position: response.headers.get('embudo-position') ?? undefined,
      askedMs: retryAfterMs(asked, response.headers.get('date'), this.#surroundings.now()),
    }
  }

  #settle({ batch, isKeepalive }: Request, verdict: Verdict, { status, position, askedMs }: Heard): void {
    const outcomes = verdict === 'too large' ? this.#split(batch) : verdict
    this.position = laterPosition(this.position, position)
    const settled = this.queue.settleHead(batch.length, (event, index) =>
      resultOf(event, outcomes[index], position),
    )
    const isSmaller = verdict === 'too large' || (isKeepalive && status === undefined && this.#shrink(batch))
    if (settled.length === batch.length || isSmaller) {
      this.#failures = 0
      this.#notBefore = 0
    } else {
      if (settled.length > 0) this.#failures = 0
      // A server that asks for no wait at all gets one nevertheless.
      const waitMs = askedMs || backOffMs(this.#failures, this.#settings, this.#surroundings.random)
      this.#failures += 1
      this.#notBefore = this.#surroundings.elapsed() + waitMs
    }
    if (settled.length > 0) this.#onSettled()
    this.#next()
  }

  /**
   * Others of the page may have used up its keepalive bytes, of which one hears nothing: a smaller piece may fit. False
   * where it is small enough already for something else to be the matter.
   */
  #shrink(batch: readonly Pending[]): boolean {
    const smaller = this.#keepaliveBytes / 2
    if (batch.length === 1 || smaller < leastKeepaliveBytes) return false
    this.#keepaliveBytes = smaller
    return true
  }

  /** Half as much from now on; an event that is too large by itself is refused. */
  #split(batch: readonly Pending[]): readonly Outcome[] {
    const detail = 'the server takes no request as large as this one event'
    if (batch.length === 1) return [{ is: 'refused', code: 'body_too_large', field: '', detail }]
    const bytes = batch.reduce((sum, event) => sum + event.bytes + 1, 1)
    this.#maxBytes = Math.floor(bytes / 2)
    return batch.map(() => ({ is: 'again', because: 'the request was too large', mayHaveArrived: false }))
  }
}

const resultOf = (
  event: Pending,
  outcome: Outcome | undefined,
  position: string | undefined,
): Delivered | SendError | undefined => {
  if (outcome?.is === 'accepted') return { id: event.id, position }
  if (outcome?.is === 'refused') return new SendError(outcome.code, outcome.detail, { field: outcome.field })
  event.because = outcome?.because ?? ''
  event.mayHaveArrived ||= outcome?.mayHaveArrived ?? true
  return undefined
}

const gaveUp = ({ because, mayHaveArrived }: Pending, timeoutMs: number): SendError =>
  new SendError(
    'delivery_timeout',
    `not accepted within ${timeoutMs} ms: ${because || 'it was not its turn'}`,
    { retriable: true, mayHaveArrived },
  )
