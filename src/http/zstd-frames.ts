import { Transform } from 'node:stream'
import { EmbudoError } from '../define/error.ts'

/**
 * Where the frames of a zstd body end (RFC 8878, 3.1). Node's decompressor has to be told: of a piece that holds the
 * end of one frame and the beginning of the next it drops the latter without a word, and a body that is cut off in
 * the middle of a frame ends for it like a whole one. Frames that are to be skipped stay here, and a body of more
 * tiny frames than anybody needs is refused: each costs a round through the decompressor, whatever comes out.
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
  /** Of a magic number that has not come as a whole: only then it is known what becomes of it. */
  #begun = nothing
  #isSkippable = false
  /** Of the frame so far. */
  #frameBytes = 0
  #tinyFrames = 0
  readonly #maxTinyFrames: number

  constructor(maxTinyFrames = maxTinyFramesOfBody) {
    this.#maxTinyFrames = maxTinyFrames
  }

  /** The same bytes in pieces, none of which goes on behind the end of a frame. Throws `body_malformed`. */
  cut(piece: Buffer): Buffer[] {
    const bytes = this.#begun.length === 0 ? piece : Buffer.concat([this.#begun, piece])
    this.#begun = nothing
    const pieces: Buffer[] = []
    let from = 0
    let at = 0
    while (at < bytes.length) {
      if (this.#state === 'content' || this.#state === 'rest of header') {
        const taken = Math.min(this.#left, bytes.length - at)
        this.#left -= taken
        at += taken
        this.#frameBytes += taken
      } else {
        this.#value += (bytes[at++] ?? 0) * 2 ** (8 * this.#read++)
        this.#left -= 1
        this.#frameBytes += 1
      }
      // What is next may be nothing at all: a block without bytes.
      while (this.#left === 0) this.#enter(...this.#following())
      if (this.#state === 'magic' && this.#read === 0) {
        if (!this.#isSkippable) {
          pieces.push(bytes.subarray(from, at))
          this.#countFrame()
        }
        this.#isSkippable = false
        this.#frameBytes = 0
        from = at
      }
    }
    if (this.#state === 'magic' && this.#read > 0) {
      this.#begun = Buffer.from(bytes.subarray(from))
      this.#enter('magic', 4)
      this.#frameBytes = 0
    } else if (from < bytes.length && !this.#isSkippable) pieces.push(bytes.subarray(from))
    return pieces
  }

  get isBetweenFrames(): boolean {
    return this.#state === 'magic' && this.#begun.length === 0
  }

  #countFrame(): void {
    if (this.#frameBytes < tinyFrameBytes) this.#tinyFrames += 1
    if (this.#tinyFrames > this.#maxTinyFrames) throw tooManyFrames()
  }

  #following(): readonly [State, number] {
    const value = this.#value
    switch (this.#state) {
      case 'magic':
        if (value === frameMagic) return ['descriptor', 1]
        this.#isSkippable = value >= skippableMagic && value < skippableMagic + 16
        if (this.#isSkippable) return ['size to skip', 4]
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
export const zstdFrames = (maxTinyFrames?: number): Transform => {
  const frames = new ZstdFrames(maxTinyFrames)
  let hasBegun = false
  return new Transform({
    // Or pieces that wait would be joined again.
    readableObjectMode: true,
    transform(bytes: Buffer, _encoding, done) {
      hasBegun = true
      try {
        for (const piece of frames.cut(bytes)) this.push(piece)
        done()
      } catch (error) {
        done(error as EmbudoError)
      }
    },
    flush(done) {
      // Nothing at all is no frame: it was cut off before it began.
      done(hasBegun && frames.isBetweenFrames ? null : malformedZstd())
    },
  })
}

type State = 'magic' | 'descriptor' | 'rest of header' | 'block' | 'content' | 'checksum' | 'size to skip'

const frameMagic = 0xfd2fb528
const skippableMagic = 0x184d2a50
const runLength = 1
/** Less than any event takes. */
const tinyFrameBytes = 32
const maxTinyFramesOfBody = 4_096
const nothing: Buffer = Buffer.alloc(0)

export const malformedZstd = (): EmbudoError =>
  new EmbudoError('body_malformed', 'the body is not zstd, or it is cut off')

const tooManyFrames = (): EmbudoError =>
  new EmbudoError(
    'body_malformed',
    `the body has more than ${maxTinyFramesOfBody} zstd frames of less than ${tinyFrameBytes} bytes; compress it as a whole`,
  )
