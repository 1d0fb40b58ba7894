/** Lets one loop sleep until there may be something to do. A wake that comes while it is busy is not lost. */
export class Waker {
  #isAwake = false
  #resume: (() => void) | undefined

  wake(): void {
    this.#isAwake = true
    this.#resume?.()
  }

  /** Resolves after `ms`, or when woken. */
  async wait(ms: number): Promise<void> {
    if (!this.#isAwake) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms)
        this.#resume = () => {
          clearTimeout(timer)
          resolve()
        }
      })
      this.#resume = undefined
    }
    this.#isAwake = false
  }
}
