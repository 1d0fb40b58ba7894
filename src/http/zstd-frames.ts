import { Transform } from 'node:stream'
import { EmbudoError } from '../define/error.ts'

/**
 * Where the frames of a zstd body end (RFC 8878, 3.1). Node's decompressor has to be told: of a piece that holds the
 * end of one frame and the beginning of the next it drops the latter without a word, and a body that is cut off in
 * the middle of a frame ends for it like a whole one.
 */
export class ZstdFrames {
  #state: State = 'magic'
  /** Bytes until the state is over. */
  #left = 4
  /** Of those read so far, the lowest first. */
  #value = 0
  #read = 0
  #hasChecksum = false
  #isLastBlock = false

  /** The same bytes in pieces, none of which goes on behind the end of a frame. Throws `body_malformed`. */
  cut(bytes: Buffer): Buffer[] {
    const pieces: Buffer[] = []
    let from = 0
    let at = 0
    while (at < bytes.length) {
      if (this.#state === 'content' || this.#state === 'rest of header') {
        const taken = Math.min(this.#left, bytes.length - at)
        this.#left -= taken
        at += taken
      } else {
        this.#value += (bytes[at++] ?? 0) * 2 ** (8 * this.#read++)
        this.#left -= 1
      }
      // What is next may be nothing at all: a block without bytes.
      while (this.#left === 0) this.#enter(...this.#following())
      if (this.isBetweenFrames) {
        pieces.push(bytes.subarray(from, at))
        from = at
      }
    }
    if (from < bytes.length) pieces.push(bytes.subarray(from))
    return pieces
  }

  get isBetweenFrames(): boolean {
    return this.#state === 'magic' && this.#read === 0
  }

  #following(): readonly [State, number] {
    const value = this.#value
    switch (this.#state) {
      case 'magic':
        if (value === frameMagic) return ['descriptor', 1]
        if (value >= skippableMagic && value < skippableMagic + 16) return ['size to skip', 4]
        throw malformedZstd()
      case 'descriptor': {
        const isSingleSegment = (value & 0x20) !== 0
        this.#hasChecksum = (value & 0x04) !== 0
        const dictionaryId = [0, 1, 2, 4][value & 0x03] ?? 0
        const contentSize = [isSingleSegment ? 1 : 0, 2, 4, 8][value >> 6] ?? 0
        return ['rest of header', (isSingleSegment ? 0 : 1) + dictionaryId + contentSize]
      }
      case 'rest of header':
        this.#isLastBlock = false
        return ['block', 3]
      case 'block': {
        const type = (value >> 1) & 0x03
        if (type === 3) throw malformedZstd()
        this.#isLastBlock = (value & 0x01) !== 0
        return ['content', type === runLength ? 1 : value >> 3]
      }
      case 'content':
        if (!this.#isLastBlock) return ['block', 3]
        return this.#hasChecksum ? ['checksum', 4] : ['magic', 4]
      case 'size to skip':
        this.#isLastBlock = true
        this.#hasChecksum = false
        return ['content', value]
      case 'checksum':
        return ['magic', 4]
    }
  }

  #enter(state: State, left: number): void {
    this.#state = state
    this.#left = left
    this.#value = 0
    this.#read = 0
  }
}

/** Put before Node's decompressor; fails at the end of a body that is cut off. */
export const zstdFrames = (): Transform => {
  const frames = new ZstdFrames()
  return new Transform({
    // Or pieces that wait would be joined again.
    readableObjectMode: true,
    transform(bytes: Buffer, _encoding, done) {
      try {
        for (const piece of frames.cut(bytes)) this.push(piece)
        done()
      } catch (error) {
        done(error as EmbudoError)
      }
    },
    flush(done) {
      done(frames.isBetweenFrames ? null : malformedZstd())
    },
  })
}

type State = 'magic' | 'descriptor' | 'rest of header' | 'block' | 'content' | 'checksum' | 'size to skip'

const frameMagic = 0xfd2fb528
const skippableMagic = 0x184d2a50
const runLength = 1

export const malformedZstd = (): EmbudoError =>
  new EmbudoError('body_malformed', 'the body is not zstd, or it is cut off')
