import type { Store } from './options.ts'
import { eventOf, type Pending } from './queue.ts'

/**
 * What a page that went away had not sent, for the next one of the same source. Two pages may take up the same
 * events, or those of one that still lives: the platform recognises them by their ids, so no lock is needed, only an
 * order, which each keeps. A store that is full, forbidden or changed by others is as good as none.
 */
export class LeftBehind {
  readonly #store: Store
  readonly #key: string
  readonly #maxCharacters: number
  /** Those of this page's events that the store has. */
  readonly #stored = new Set<string>()
  readonly #settled = new Set<string>()

  constructor(store: Store, source: string, maxCharacters: number) {
    this.#store = store
    this.#key = `embudo.unsent.${source}`
    this.#maxCharacters = maxCharacters
  }

  /** They stay where they are until they are settled. */
  take(): readonly { readonly id: string; readonly text: string }[] {
    const found = Array.from(this.#read(), ([id, text]) => ({ id, text }))
    for (const { id } of found) this.#stored.add(id)
    return found
  }

  leave(events: readonly Pending[]): void {
    if (events.length === 0) return
    const all = this.#read()
    for (const { id, text } of events) {
      all.set(id, text)
      this.#stored.add(id)
    }
    this.#write(all)
  }

  settled(id: string): void {
    if (!this.#stored.delete(id)) return
    if (this.#settled.size === 0) queueMicrotask(() => this.#forget())
    this.#settled.add(id)
  }

  #forget(): void {
    const all = this.#read()
    for (const id of this.#settled) all.delete(id)
    this.#settled.clear()
    this.#write(all)
  }

  #read(): Map<string, string> {
    try {
      const found: unknown = JSON.parse(this.#store.getItem(this.#key) ?? '[]')
      if (!Array.isArray(found)) return new Map()
      const texts = found.map((event) => JSON.stringify(event))
      return new Map(texts.map((text) => [eventOf(text).id, text]))
    } catch {
      return new Map()
    }
  }

  /** The oldest, as many as fit. */
  #write(events: ReadonlyMap<string, string>): void {
    let length = 2
    const kept = [...events.values()].filter((text) => {
      length += text.length + 1
      return length <= this.#maxCharacters
    })
    try {
      if (kept.length === 0) this.#store.removeItem(this.#key)
      else this.#store.setItem(this.#key, `[${kept.join(',')}]`)
    } catch {
      // The events are on their way all the same.
    }
  }
}
