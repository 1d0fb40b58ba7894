/**
 * Bytes that come piece by piece, held in about as much memory as there are bytes: a Buffer of its own costs 200
 * bytes and more, and a sender may make each piece one byte long. Large pieces are kept as they are, not copied.
 */
export class Gathered {
  #pieces: Buffer[] = []
  /** What small pieces are copied into, and how much of it is taken. */
  #block = nothing
  #used = 0
  #length = 0

  get length(): number {
    return this.#length
  }

  push(piece: Buffer): void {
    if (this.#length === 0 || piece.length >= largePieceBytes) {
      this.#closeBlock()
      this.#pieces.push(piece)
    } else {
      if (this.#used + piece.length > this.#block.length) this.#growBlock(piece.length)
      this.#used += piece.copy(this.#block, this.#used)
    }
    this.#length += piece.length
  }

  /** All of it in one, and begins anew. */
  take(): Buffer {
    this.#closeBlock()
    const pieces = this.#pieces
    const whole = pieces.length === 1 ? (pieces[0] ?? nothing) : Buffer.concat(pieces, this.#length)
    this.#pieces = []
    this.#length = 0
    return whole
  }

  #growBlock(by: number): void {
    if (this.#used >= blockBytes) this.#closeBlock()
    const larger = Buffer.allocUnsafeSlow(Math.max(smallestBlockBytes, 2 * (this.#used + by)))
    this.#block.copy(larger, 0, 0, this.#used)
    this.#block = larger
  }

  #closeBlock(): void {
    if (this.#used > 0) this.#pieces.push(this.#block.subarray(0, this.#used))
    this.#block = nothing
    this.#used = 0
  }
}

const nothing: Buffer = Buffer.alloc(0)
const largePieceBytes = 4 * 1024
const smallestBlockBytes = 256
const blockBytes = 64 * 1024
