import type { SendError } from './error.ts'
import type { EventQueue } from './queue.ts'
import type { Surroundings } from './surroundings.ts'

/** Producers that would rather wait than be refused. */
export class Room {
  readonly #queue: EventQueue
  readonly #after: Surroundings['after']
  #waiting: { readonly go: () => void; readonly fail: (error: SendError) => void }[] = []
  /** Promised to those who were let go and have not sent yet. */
  #promised = 0

  constructor(queue: EventQueue, after: Surroundings['after']) {
    this.#queue = queue
    this.#after = after
  }

  /** Somebody waits: what is queued should not linger. */
  get isWanted(): boolean {
    return this.#waiting.length > 0
  }

  ready(): Promise<void> {
    if (this.#waiting.length === 0 && this.#promised < this.#queue.room) {
      this.#promised += 1
      return Promise.resolve()
    }
    // All of it is promised and nothing will drain: whoever has not sent by the next turn does not mean to.
    if (this.#queue.length === 0) this.#after(0, () => this.drained())
    return new Promise((go, fail) => this.#waiting.push({ go, fail }))
  }

  sent(): void {
    this.#promised = Math.max(0, this.#promised - 1)
  }

  /**
   * Lets go as many as there is room for, once the queue has drained to a half: nobody should wake for one place. A
   * promise that was not used is forgotten here.
   */
  drained(): void {
    if (!this.#queue.isHalfEmpty) return
    this.#promised = Math.min(this.#waiting.length, this.#queue.room)
    for (const { go } of this.#waiting.splice(0, this.#promised)) go()
  }

  close(error: SendError): void {
    for (const { fail } of this.#waiting.splice(0)) fail(error)
  }
}
