import { isUtf8 } from 'node:buffer'
import { syntaxMessage } from '../http/body.ts'
import { Gathered } from '../http/gathered.ts'
import { isTooDeep, tooDeepDetail } from '../http/json-shape.ts'
import { type EventError, eventError } from './event-error.ts'
import { RepeatedKeys, repeatedKeyIn } from './repeated-keys.ts'

/** What the lines of a body become. */
export interface LineSink {
  line(value: unknown): void
  refuse(error: EventError): void
  /** True when no more should be given before it has been emptied. */
  readonly isFull: boolean
}

/**
 * Cuts a stream of bytes into lines of JSON. Blank lines count for nothing. What is kept between two pieces is
 * never longer than one line may be: the rest of a line that is too long is thrown away as it comes.
 */
export class NdjsonLines {
  readonly #sink: LineSink
  readonly #maxLineBytes: number
  readonly #kept = new Gathered()
  #isSkipping = false
  #isFirst = true

  constructor(sink: LineSink, maxLineBytes: number) {
    this.#sink = sink
    this.#maxLineBytes = maxLineBytes
  }

  /** Takes lines until the piece ends or the sink is full; returns what is left of the piece. */
  push(piece: Buffer): Buffer {
    const firstEnd = piece.indexOf(newline)
    if (firstEnd === -1) {
      this.#keep(piece)
      return nothing
    }
    let at = 0
    if (this.#kept.length > 0 || this.#isSkipping) {
      this.#keep(piece.subarray(0, firstEnd))
      this.#endLine()
      at = firstEnd + 1
      if (this.#sink.isFull) return piece.subarray(at)
    }
    const end = piece.lastIndexOf(newline) + 1
    if (end > at) at = this.#lines(piece, at, end)
    if (at < end) return piece.subarray(at)
    if (at < piece.length) this.#keep(piece.subarray(at))
    return nothing
  }

  /** The last line needs no newline. */
  end(): void {
    if (this.#kept.length > 0 || this.#isSkipping) this.#endLine()
  }

  /** Whole lines, from `at` to `end`: made text in one go, which costs a third of doing it line by line. */
  #lines(piece: Buffer, at: number, end: number): number {
    const bytes = piece.subarray(at, end)
    if (!isUtf8(bytes) || end - at > this.#maxLineBytes) return this.#linesOneByOne(piece, at, end)
    const text = bytes.toString('utf8')
    const isAscii = text.length === bytes.length
    const keys = new RepeatedKeys(bytes)
    // Where the line begins, in the text and in the bytes.
    let from = 0
    let fromByte = 0
    while (from < text.length) {
      const to = text.indexOf('\n', from)
      const toByte = isAscii ? to : bytes.indexOf(newline, fromByte)
      this.#line(text.slice(from, to), keys, fromByte, toByte)
      from = to + 1
      fromByte = toByte + 1
      if (this.#sink.isFull) break
    }
    return at + fromByte
  }

  #linesOneByOne(piece: Buffer, at: number, end: number): number {
    let from = at
    while (from < end) {
      const to = piece.indexOf(newline, from)
      this.#lineOfBytes(piece.subarray(from, to))
      from = to + 1
      if (this.#sink.isFull) break
    }
    return from
  }

  #keep(part: Buffer): void {
    if (part.length === 0 || this.#isSkipping) return
    if (this.#kept.length + part.length > this.#maxLineBytes) {
      this.#isSkipping = true
      this.#kept.take()
      return
    }
    this.#kept.push(part)
  }

  #endLine(): void {
    const line = this.#kept.take()
    const isTooLong = this.#isSkipping
    this.#isSkipping = false
    if (isTooLong) this.#sink.refuse(tooLong(this.#maxLineBytes))
    else this.#lineOfBytes(line)
  }

  #lineOfBytes(bytes: Buffer): void {
    if (bytes.length > this.#maxLineBytes) this.#sink.refuse(tooLong(this.#maxLineBytes))
    else if (isUtf8(bytes)) this.#line(bytes.toString('utf8'), new RepeatedKeys(bytes))
    else
      this.#sink.refuse(eventError('malformed_json', '', 'expected JSON in UTF-8; the line has other bytes'))
  }

  #line(text: string, keys: RepeatedKeys, from?: number, to?: number): void {
    const isFirst = this.#isFirst
    this.#isFirst = false
    const json = isFirst && text.startsWith(byteOrderMark) ? text.slice(1) : text
    if (isTooDeep(keys.bytes, from, to)) {
      this.#sink.refuse(eventError('too_deep', '', tooDeepDetail))
      return
    }
    let value: unknown
    try {
      value = JSON.parse(json)
    } catch (cause) {
      if (/^[ \t\r]*$/.test(json)) return
      const detail = `expected one JSON object in the line: ${syntaxMessage(cause)}`
      this.#sink.refuse(eventError('malformed_json', '', detail))
      return
    }
    const repeated = keys.mayBeIn(value, from, to) ? repeatedKeyIn(json) : undefined
    if (repeated === undefined) this.#sink.line(value)
    else this.#sink.refuse(repeated)
  }
}

const newline = 10
const byteOrderMark = '\uFEFF'
const nothing = Buffer.alloc(0)

const tooLong = (maxLineBytes: number): EventError =>
  eventError('line_too_large', '', `expected a line of at most ${maxLineBytes} bytes`)
