import { isUtf8 } from 'node:buffer'
import type { RefusedEvent } from './answer.ts'

export interface TextLine {
  /** From 1. */
  readonly number: number
  readonly text: string
  /** What cannot be sent at all, and why. */
  readonly refused?: RefusedEvent
}

/** The server takes no line of more than a mebibyte; what is longer than this is not even held. */
const maxLineBytes = 16 * 1024 * 1024

/**
 * The lines of a stream, those of one piece together. They end at a newline only: readline would also cut at
 * U+2028, which JSON may hold. Blank ones are counted and left out.
 */
export async function* textLines(pieces: AsyncIterable<Buffer>): AsyncGenerator<TextLine[]> {
  let kept: Buffer[] = []
  let keptBytes = 0
  let isSkipping = false
  let number = 0

  const whole = (block: Buffer): TextLine[] => {
    if (!isUtf8(block)) return oneByOne(block)
    const text = block.toString('utf8')
    const lines: TextLine[] = []
    for (let from = 0; from <= text.length; ) {
      const end = text.indexOf('\n', from)
      const to = end === -1 ? text.length : end
      number += 1
      const line = text.slice(from, to).trim()
      if (line !== '') lines.push({ number, text: line })
      from = to + 1
    }
    return lines
  }
  const oneByOne = (block: Buffer): TextLine[] => {
    const lines: TextLine[] = []
    for (let from = 0; from <= block.length; ) {
      const end = block.indexOf(newline, from)
      const to = end === -1 ? block.length : end
      const bytes = block.subarray(from, to)
      number += 1
      const text = bytes.toString('utf8').trim()
      if (!isUtf8(bytes)) lines.push({ number, text, refused: notUtf8 })
      else if (text !== '') lines.push({ number, text })
      from = to + 1
    }
    return lines
  }

  for await (const piece of pieces) {
    const last = piece.lastIndexOf(newline)
    if (last === -1) {
      keptBytes += piece.length
      if (keptBytes > maxLineBytes) isSkipping = true
      if (isSkipping) kept = []
      else kept.push(piece)
      continue
    }
    let from = 0
    const lines: TextLine[] = []
    if (isSkipping) {
      from = piece.indexOf(newline) + 1
      number += 1
      lines.push({ number, text: '', refused: tooLong })
      isSkipping = false
    }
    if (from <= last) {
      const block = piece.subarray(from, last)
      for (const line of whole(kept.length === 0 ? block : Buffer.concat([...kept, block]))) lines.push(line)
    }
    kept = [piece.subarray(last + 1)]
    keptBytes = piece.length - last - 1
    if (lines.length > 0) yield lines
  }
  if (isSkipping) yield [{ number: number + 1, text: '', refused: tooLong }]
  else {
    const lines = whole(Buffer.concat(kept))
    if (lines.length > 0) yield lines
  }
}

const newline = 10

const notUtf8: RefusedEvent = {
  code: 'malformed_json',
  field: '',
  detail: 'expected JSON in UTF-8; the line has other bytes',
}

const tooLong: RefusedEvent = {
  code: 'line_too_large',
  field: '',
  detail: 'expected a line of at most 1048576 bytes; is this one event a line?',
}
