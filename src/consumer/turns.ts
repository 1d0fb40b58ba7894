/** So many may do something at a time; the others wait, and come in the order in which they asked. */
export class Turns {
  #free: number
  readonly #waiting = new Set<() => void>()

  constructor(atOnce: number) {
    this.#free = atOnce
  }

  /** Answers how the turn is given back; doing so twice does no harm. Undefined where `signal` has aborted. */
  async take(signal: AbortSignal): Promise<(() => void) | undefined> {
    if (signal.aborted) return undefined
    if (this.#free > 0) this.#free--
    else if (!(await this.#called(signal))) return undefined
    let isOver = false
    return () => {
      if (isOver) return
      isOver = true
      this.#callNext()
    }
  }

  /** False where `signal` aborted first. */
  #called(signal: AbortSignal): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const call = () => {
      signal.removeEventListener('abort', giveUp)
      resolve(true)
    }
    const giveUp = () => {
      this.#waiting.delete(call)
      resolve(false)
    }
    this.#waiting.add(call)
    signal.addEventListener('abort', giveUp, { once: true })
    return promise
  }

  #callNext(): void {
    for (const call of this.#waiting) {
      this.#waiting.delete(call)
      call()
      return
    }
    this.#free++
  }
}
