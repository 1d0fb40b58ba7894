/// <reference lib="esnext.disposable" preserve="true" />
import { Delivery } from './delivery.ts'
import { SendError, type SentEvent } from './error.ts'
import type { EventInputs } from './event-inputs.ts'
import { LeftBehind } from './left-behind.ts'
import { type ClientOptions, type Settings, settingsOf } from './options.ts'
import { type Delivered, eventOf, type Pending } from './queue.ts'
import { Room } from './room.ts'
import { type Surroundings, surroundings } from './surroundings.ts'
import { uuidV7 } from './uuid-v7.ts'

export { SendError, type SentEvent } from './error.ts'
export type { EventInputs } from './event-inputs.ts'
export type { ClientOptions, Fetch, Store } from './options.ts'
export type { Delivered } from './queue.ts'

/** What CloudEvents says about an event besides its type and data. */
export interface Envelope {
  /** For an event that has an id where it comes from: sent twice, it counts once. Default: a new UUIDv7. */
  readonly id?: string | undefined
  /** When it happened. Default: now. */
  readonly time?: Date | string | undefined
  readonly correlationId?: string | undefined
  readonly causationId?: string | undefined
}

/**
 * Sends events to embudo. `Events` says which there are: event type -> its data; by default the catalogue that this
 * client was built with.
 */
export interface Client<Events extends object = EventInputs> extends AsyncDisposable {
  /**
   * Takes the event at once and never waits. The promise is settled when the log has the event, or when it was given
   * up, then with a `SendError`; it may be ignored.
   */
  send<Type extends keyof Events & string>(
    type: Type,
    data: Events[Type],
    envelope?: Envelope,
  ): Promise<Delivered>
  /** Resolves when the queue has room for more: at once, or when it has drained to a half. */
  ready(): Promise<void>
  /** Sends without lingering; resolves when all that was sent before has been settled, however. */
  flush(): Promise<void>
  /** Flushes, then takes no more. What is not settled after `timeoutMs` (default: 10,000) is given up. */
  close(options?: { readonly timeoutMs?: number | undefined }): Promise<void>
  /** Events that wait or are on their way. */
  readonly pending: number
  /** The last place per partition of all that was accepted, for a read's `Embudo-Position`. */
  readonly position: string | undefined
}

/** Throws `SendError` `bad_option`. `around` is for tests. */
export const createClient = <Events extends object = EventInputs>(
  options: ClientOptions,
  around: Surroundings = surroundings(),
): Client<Events> => new QueuedClient<Events>(settingsOf(options), around)

class QueuedClient<Events extends object> implements Client<Events> {
  readonly #settings: Settings
  readonly #around: Surroundings
  readonly #delivery: Delivery
  readonly #room: Room
  readonly #newId: () => string
  readonly #encoder = new TextEncoder()
  readonly #leftBehind: LeftBehind | undefined
  readonly #stopListening: (() => void) | undefined
  #count = 0
  #flushing: { readonly upTo: number; readonly done: () => void }[] = []
  #closing: Promise<void> | undefined

  constructor(settings: Settings, around: Surroundings) {
    this.#settings = settings
    this.#around = around
    this.#newId = uuidV7(around)
    this.#delivery = new Delivery(settings, around, {
      isUrgent: () => this.#flushing.length > 0 || this.#room.isWanted,
      onSettled: () => this.#tell(),
    })
    this.#room = new Room(this.#delivery.queue, around.after)
    const { source, store, maxStoredCharacters } = settings
    this.#leftBehind = store && new LeftBehind(store, source, maxStoredCharacters)
    this.#takeUp()
    this.#stopListening = around.page?.listen({
      hidden: () => {
        this.#delivery.hidden()
        this.#leave()
      },
      leaving: () => {
        this.#delivery.leaving()
        this.#leave()
      },
      back: () => this.#delivery.back(),
      online: () => this.#delivery.online(),
    })
  }

  get pending(): number {
    return this.#delivery.queue.length
  }

  get position(): string | undefined {
    return this.#delivery.position
  }

  send<Type extends keyof Events & string>(
    type: Type,
    data: Events[Type],
    envelope: Envelope = {},
  ): Promise<Delivered> {
    const event = { type, id: envelope.id ?? this.#newId(), source: this.#settings.source }
    const sent = new Promise<Delivered>((resolve, reject) => {
      const written = this.#written(event, data, envelope)
      const settle = (result: Delivered | SendError) => {
        if (!(result instanceof SendError)) return resolve(result)
        reject(result)
        this.#report(result, typeof written === 'string' ? eventOf(written) : { ...event, time: '', data })
      }
      if (typeof written !== 'string') return settle(written)
      if (this.#closing !== undefined) return settle(closed(false))
      const pending = this.#pending(event.id, written, settle)
      this.#room.sent()
      const refusal = this.#delivery.queue.refusal(pending)
      if (refusal !== undefined) return settle(refusal)
      this.#delivery.queue.add(pending)
      this.#delivery.plan()
    })
    // Whoever does not wait for it hears of it by onError; that is no unhandled rejection.
    sent.catch(() => {})
    return sent
  }

  ready(): Promise<void> {
    if (this.#closing !== undefined) return Promise.reject(closed(false))
    const ready = this.#room.ready()
    if (this.#room.isWanted) this.#delivery.plan()
    return ready
  }

  flush(): Promise<void> {
    if (this.pending === 0) return Promise.resolve()
    return new Promise((done) => {
      this.#flushing.push({ upTo: this.#count, done })
      this.#delivery.plan()
    })
  }

  close({ timeoutMs = 10_000 }: { readonly timeoutMs?: number | undefined } = {}): Promise<void> {
    this.#closing ??= this.#close(timeoutMs)
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(timeoutMs: number): Promise<void> {
    this.#room.close(closed(false))
    const callOff = this.#around.after(timeoutMs, () => {
      this.#delivery.stop((event) => closed(event.mayHaveArrived))
      this.#tell()
    })
    await this.flush()
    callOff()
    this.#stopListening?.()
  }

  /** What goes wrong in there is its author's to see, and must not stop the delivery. */
  #report(error: SendError, event: SentEvent): void {
    const { onError } = this.#settings
    if (onError !== undefined) queueMicrotask(() => onError(error, event))
  }

  /** What a page before this one left, in front of all that this one will send. */
  #takeUp(): void {
    const { queue } = this.#delivery
    for (const { id, text } of this.#leftBehind?.take() ?? []) {
      const pending = this.#pending(id, text, (result) => {
        if (result instanceof SendError) this.#report(result, eventOf(text))
      })
      if (queue.refusal(pending) !== undefined) return
      queue.add(pending)
      this.#delivery.plan()
    }
  }

  #leave(): void {
    this.#leftBehind?.leave(this.#delivery.queue.all)
  }

  /** The event as JSON, or why it cannot be written so. */
  #written(event: Omit<SentEvent, 'time' | 'data'>, data: unknown, envelope: Envelope): string | SendError {
    const { time = new Date(this.#around.now()), correlationId, causationId } = envelope
    try {
      return JSON.stringify({
        ...event,
        time: typeof time === 'string' ? time : time.toISOString(),
        correlationid: correlationId,
        causationid: causationId,
        data,
      })
    } catch (cause) {
      return new SendError('not_json', `the event cannot be written as JSON: ${String(cause)}`, {
        field: '/data',
        cause,
      })
    }
  }

  #pending(id: string, text: string, settle: Pending['settle']): Pending {
    return {
      id,
      text,
      bytes: this.#encoder.encode(text).length,
      number: ++this.#count,
      since: this.#around.elapsed(),
      settle: (result) => {
        this.#leftBehind?.settled(id)
        settle(result)
      },
      mayHaveArrived: false,
      because: '',
    }
  }

  #tell(): void {
    const { queue } = this.#delivery
    const first = queue.first?.number ?? Number.POSITIVE_INFINITY
    const isDone = ({ upTo }: { readonly upTo: number }) => upTo < first
    const done = this.#flushing.filter(isDone)
    this.#flushing = this.#flushing.filter((flush) => !isDone(flush))
    for (const flush of done) flush.done()
    this.#room.drained()
  }
}

const closed = (mayHaveArrived: boolean): SendError =>
  new SendError('closed', 'the client was closed before the event was accepted', {
    retriable: true,
    mayHaveArrived,
  })
