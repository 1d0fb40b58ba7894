/**
 * The port of one process, or of several that share it: what the first of them takes stays theirs, whoever of them
 * is started again. Were a free one (0) asked for anew, clients would be lost.
 */
export class KeptPort {
  #told: number
  #taken: number | undefined
  #living = 0

  constructor(wanted: number) {
    this.#told = wanted
  }

  /** What a process that is about to start is to listen on. */
  forNext(): number {
    this.#living += 1
    return this.#told
  }

  /**
   * `address` as a URL. False where it is not the port that is theirs: the last sibling ended just before this one, told
   * that it lived, could share its socket. Whoever starts from then on is told the port itself.
   */
  taken(address: string): boolean {
    const port = Number(new URL(address).port)
    this.#taken ??= port
    if (port === this.#taken) return true
    this.#told = this.#taken
    return false
  }

  /**
   * Siblings are handed one socket if they ask for the same port, be it 0: as long as one of them lives, the others
   * are told what it was told.
   */
  ended(): void {
    this.#living -= 1
    if (this.#living === 0 && this.#taken !== undefined) this.#told = this.#taken
  }
}
