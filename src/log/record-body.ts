import type { AppendRecord, EncodedRecord, RecordContent } from './port.ts'

/** The bytes of a record of a batch, format v2, from its key on. */
export const bodyOf = (record: RecordContent | { readonly body: Buffer }): Buffer =>
  'body' in record ? record.body : writeContent(record, new RecordBodyWriter(contentBytesAtMost(record)))

/** The record as it waits to be sent. */
export const encodedRecord = (record: AppendRecord, writer: RecordBodyWriter): EncodedRecord => {
  if ('body' in record) return record
  const { topic, partition } = record
  return { topic, partition, body: writeContent(record, writer) }
}

const writeContent = (record: RecordContent, writer: RecordBodyWriter): Buffer => {
  const { key, value, headers } = record
  writer.begin(contentBytesAtMost(record))
  writer.bytes(key)
  writer.bytes(value)
  writer.count(headers.length)
  for (const [name, text] of headers) {
    writer.text(name)
    writer.text(text)
  }
  return writer.end()
}

const contentBytesAtMost = ({ key, value, headers }: RecordContent): number => {
  let characters = 0
  for (const [name, text] of headers) characters += name.length + text.length
  return key.length + value.length + bytesAtMost(characters, 3 + 2 * headers.length)
}

/** Each behind its length: a header is two of them, its name and its value. */
export const encodedTexts = (...texts: string[]): Buffer => {
  const characters = texts.reduce((sum, text) => sum + text.length, 0)
  const writer = new RecordBodyWriter(bytesAtMost(characters, texts.length))
  for (const text of texts) writer.text(text)
  return writer.end()
}

/** Of so many characters in UTF-8, in so many pieces that each stand behind their length. */
export const bytesAtMost = (characters: number, pieces: number): number =>
  3 * characters + maxVarintBytes * pieces

/**
 * Writes bodies one behind the other into blocks of memory, some hundred to a block. A block lives as long as a
 * body in it does, unless it is written again after `reuse`.
 */
export class RecordBodyWriter {
  readonly #maxBlockBytes: number
  #block: Buffer
  #start = 0
  #at = 0

  /** Blocks double up to `maxBlockBytes`; only a body that is larger gets one that is. */
  constructor(blockBytes: number, maxBlockBytes = blockBytes) {
    this.#maxBlockBytes = maxBlockBytes
    this.#block = Buffer.allocUnsafeSlow(blockBytes)
  }

  /** Nobody needs the bodies any more that were written so far: not before their append has been answered. */
  reuse(): void {
    this.#at = 0
  }

  /** Begins a body of at most so many bytes. */
  begin(maxBytes: number): void {
    if (this.#at + maxBytes > this.#block.length) {
      const next = Math.min(2 * this.#block.length, this.#maxBlockBytes)
      this.#block = Buffer.allocUnsafeSlow(Math.max(next, maxBytes))
      this.#at = 0
    }
    this.#start = this.#at
  }

  end(): Buffer {
    return this.#block.subarray(this.#start, this.#at)
  }

  count(value: number): void {
    this.#at = writeVarint(this.#block, this.#at, value)
  }

  /** As they are, without their length. */
  raw(bytes: Buffer): void {
    this.#block.set(bytes, this.#at)
    this.#at += bytes.length
  }

  bytes(bytes: Buffer): void {
    this.count(bytes.length)
    this.raw(bytes)
  }

  text(text: string): void {
    if (!this.#shortAscii(text)) {
      this.count(Buffer.byteLength(text))
      this.#at += this.#block.write(text, this.#at)
    }
  }

  /** Nearly every text is: a loop over it beats the calls into native code. Its length takes one byte. */
  #shortAscii(text: string): boolean {
    const { length } = text
    if (length >= 64) return false
    const block = this.#block
    const at = this.#at + 1
    for (let index = 0; index < length; index++) {
      const code = text.charCodeAt(index)
      if (code > 0x7f) return false
      block[at + index] = code
    }
    block[at - 1] = length << 1
    this.#at = at + length
    return true
  }
}

const maxVarintBytes = 5

// Lengths and counts are never negative, so the zigzag of n is 2n.
export function writeVarint(bytes: Buffer, start: number, value: number): number {
  let rest = (value << 1) >>> 0
  let at = start
  while (rest > 0x7f) {
    bytes[at++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  bytes[at++] = rest
  return at
}
