import { EmbudoError } from '../../define/error.ts'

const newline = 10
const maxLineBytes = 64 * 1024 * 1024

export interface TextLine {
  /** From 1. */
  readonly number: number
  readonly text: string
  /** Where the next line begins. */
  readonly endByte: number
}

/**
 * Lines end at a newline only: readline would also cut at U+2028, which JSON may hold. Blank ones are counted
 * and left out.
 */
export async function* textLines(pieces: AsyncIterable<Buffer>): AsyncGenerator<TextLine> {
  let kept: Buffer[] = []
  let keptBytes = 0
  let number = 0
  let endByte = 0

  const take = (last: Buffer): TextLine | undefined => {
    const bytes = kept.length === 0 ? last : Buffer.concat([...kept, last])
    kept = []
    keptBytes = 0
    number += 1
    const text = bytes
      .toString('utf8')
      .replace(/^\uFEFF/, '')
      .trim()
    return text === '' ? undefined : { number, text, endByte }
  }

  for await (const piece of pieces) {
    let from = 0
    for (let to = piece.indexOf(newline); to !== -1; to = piece.indexOf(newline, from)) {
      endByte += to + 1 - from
      const line = take(piece.subarray(from, to))
      if (line !== undefined) yield line
      from = to + 1
    }
    endByte += piece.length - from
    if (from === piece.length) continue
    kept.push(piece.subarray(from))
    keptBytes += piece.length - from
    if (keptBytes > maxLineBytes) {
      throw new EmbudoError(
        'line_too_large',
        `line ${number + 1} is longer than ${maxLineBytes} bytes; is this NDJSON?`,
      )
    }
  }
  const line = take(Buffer.alloc(0))
  if (line !== undefined) yield line
}
