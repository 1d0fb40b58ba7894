import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { EmbudoError } from '../define/error.ts'
import { decompressors, piped } from '../http/body.ts'
import type { BodyEncoding } from './content.ts'

/**
 * A body piece by piece, decompressed. Nothing is read before it is asked for, so that what is not asked for stays
 * with its sender. To be closed, or a decompressor would stay.
 */
export class Pieces {
  /** What decompressing takes in memory, growing with what comes out; counted as what is usual. */
  readonly windowBytes: number
  readonly #request: IncomingMessage
  readonly #encoding: BodyEncoding
  readonly #steps: ReturnType<typeof decompressors>
  readonly #source: Readable
  readonly #come: Buffer[] = []
  #end: 'whole' | EmbudoError | undefined
  #wake: (() => void) | undefined

  constructor(request: IncomingMessage, encoding: BodyEncoding) {
    this.#request = request
    this.#encoding = encoding
    this.windowBytes = encoding === 'zstd' ? usualWindowBytes : 0
    this.#steps = encoding === 'identity' ? [] : decompressors(encoding)
    this.#source = piped(request, this.#steps)
    this.#source.pause().on('data', this.#onData).on('end', this.#onEnd).on('error', this.#onError)
    request.on('close', this.#onClose)
  }

  /** `end` after the last; `late` when none came within so many milliseconds. Throws `body_malformed`. */
  async next(withinMs: number): Promise<Buffer | 'end' | 'late'> {
    if (this.#come.length === 0 && this.#end === undefined) await this.#more(withinMs)
    const piece = this.#come.shift()
    if (piece !== undefined) return piece
    if (this.#end === undefined) return 'late'
    if (this.#end === 'whole') return 'end'
    throw this.#end
  }

  [Symbol.dispose](): void {
    this.#source.off('data', this.#onData).off('end', this.#onEnd).pause()
    this.#request.off('close', this.#onClose)
    if (this.#steps.length > 0) this.#request.unpipe()
    for (const step of this.#steps) step.destroy()
  }

  #more(withinMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#wake?.(), withinMs)
      this.#wake = () => {
        this.#wake = undefined
        clearTimeout(timer)
        this.#source.pause()
        resolve()
      }
      this.#source.resume()
    })
  }

  readonly #onData = (piece: Buffer): void => {
    this.#come.push(piece)
    this.#wake?.()
  }

  readonly #onEnd = (): void => this.#finish('whole')

  readonly #onError = (cause: unknown): void => {
    const unzipped = this.#encoding === 'identity' ? '' : `, or is not ${this.#encoding}`
    this.#finish(new EmbudoError('body_malformed', `the body broke off${unzipped}`, { cause }))
  }

  readonly #onClose = (): void => {
    // What has come as a whole may still be unfolding.
    if (!this.#request.complete) this.#onError(undefined)
  }

  #finish(end: 'whole' | EmbudoError): void {
    this.#end ??= end
    this.#wake?.()
  }
}

/** zstd's at its default level; its sender may choose up to 8 MiB (RFC 9659). */
const usualWindowBytes = 2 * 1024 * 1024
