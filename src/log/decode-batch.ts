import { EmbudoError } from '../define/error.ts'
import { crc32c } from './crc32c.ts'
import type { WholeRecord } from './port.ts'
import { AT, ATTRIBUTE, BEFORE_LENGTH_COUNTS, decompress, readInt64 } from './record-batch.ts'

export interface DecodeOptions {
  /** Records before it are left out: a fetch gives whole batches, also those that began earlier. */
  readonly from?: number
  /** Default true. */
  readonly checkCrc?: boolean
  /** What one compressed batch may unfold into. Default 256 MiB. */
  readonly maxBatchBytes?: number
  /** Told how many offsets from `from` on are markers of transactions, and hold no record. */
  readonly passMarkers?: (offsets: number) => void
}

/**
 * The records of one partition's part of a fetch: any number of batches, the last of which may be cut off and
 * is then left for the next fetch. Transaction markers are skipped. Throws `record_batch_corrupt`, or
 * `record_batch_unreadable` for what is well-formed but not supported.
 */
export function decodeBatches(bytes: Buffer, options: DecodeOptions = {}): WholeRecord[] {
  const records: WholeRecord[] = []
  for (let at = 0, end = batchEnd(bytes, 0); end !== undefined; at = end, end = batchEnd(bytes, at)) {
    decodeBatch(bytes.subarray(at, end), options, records)
  }
  return records
}

/** One past the last offset of the complete batches in there; undefined where there is none. */
export function nextOffsetAfter(bytes: Buffer): number | undefined {
  let next: number | undefined
  for (let at = 0, end = batchEnd(bytes, 0); end !== undefined; at = end, end = batchEnd(bytes, at)) {
    next = readInt64(bytes, at + AT.baseOffset) + bytes.readInt32BE(at + AT.lastOffsetDelta) + 1
  }
  return next
}

/** The first complete batch in there: where it ends, and what tells it from any other that could stand in its place. */
export function firstBatch(bytes: Buffer): { readonly end: number; readonly seal: string } | undefined {
  const end = batchEnd(bytes, 0)
  return end === undefined ? undefined : { end, seal: sealOf(bytes, 0) }
}

/** Of the last complete batch in there. */
export function lastSeal(bytes: Buffer): string | undefined {
  let seal: string | undefined
  for (let at = 0, end = batchEnd(bytes, 0); end !== undefined; at = end, end = batchEnd(bytes, at)) {
    seal = sealOf(bytes, at)
  }
  return seal
}

// The checksum covers the timestamps and the records. A batch keeps its bytes for as long as it is in the log.
const sealOf = (bytes: Buffer, at: number): string =>
  `${readInt64(bytes, at + AT.baseOffset)}-${bytes.readUInt32BE(at + AT.crc)}`

function batchEnd(bytes: Buffer, at: number): number | undefined {
  if (bytes.length - at < AT.magic + 1) return undefined
  const magic = bytes[at + AT.magic]!
  if (magic !== 2) {
    throw new EmbudoError(
      'record_batch_unreadable',
      `A record batch has the format v${magic}; only v2 is read. Its topic was written by clients older than Kafka 0.11: rewrite it with a current one.`,
      { facts: { magic } },
    )
  }
  const length = bytes.readInt32BE(at + AT.length)
  if (length < AT.records - BEFORE_LENGTH_COUNTS) throw corrupt(bytes, at, `says that it has ${length} bytes`)
  const end = at + BEFORE_LENGTH_COUNTS + length
  return end <= bytes.length ? end : undefined
}

function decodeBatch(batch: Buffer, options: DecodeOptions, into: WholeRecord[]): void {
  const baseOffset = readInt64(batch, AT.baseOffset)
  const from = options.from ?? 0
  const lastOffset = baseOffset + batch.readInt32BE(AT.lastOffsetDelta)
  if (lastOffset < from) return
  const attributes = batch.readInt16BE(AT.attributes)
  if (attributes & ATTRIBUTE.control) {
    options.passMarkers?.(lastOffset + 1 - Math.max(baseOffset, from))
    return
  }
  if (options.checkCrc !== false && crc32c(batch, AT.attributes) !== batch.readUInt32BE(AT.crc)) {
    throw corrupt(batch, 0, 'has another checksum than it says')
  }

  const code = attributes & ATTRIBUTE.compression
  const maxBytes = options.maxBatchBytes ?? 256 * 1024 * 1024
  const bytes = code === 0 ? batch : decompress(batch.subarray(AT.records), code, maxBytes)
  const baseTimestamp = readInt64(batch, AT.baseTimestamp)
  const appendTime = attributes & ATTRIBUTE.logAppendTime ? readInt64(batch, AT.maxTimestamp) : undefined

  const cursor = new Cursor(bytes, code === 0 ? AT.records : 0)
  const count = batch.readInt32BE(AT.count)
  for (let index = 0; index < count; index++) {
    const length = cursor.varint()
    const end = cursor.at + length
    if (length < 0 || end > bytes.length) throw corrupt(batch, 0, `ends within record ${index} of ${count}`)
    cursor.at++ // attributes: none are in use
    const timestamp = baseTimestamp + cursor.varlong()
    const offset = baseOffset + cursor.varint()
    const keyLength = cursor.varint()
    const keyAt = cursor.skip(keyLength, end)
    const valueLength = cursor.varint()
    const valueAt = cursor.skip(valueLength, end)
    if (cursor.overran) throw corrupt(batch, 0, `has a record ${index} that is longer than it says`)
    const at = appendTime ?? timestamp
    if (offset >= from)
      into.push(new FetchedRecord(offset, at, bytes, keyAt, keyLength, valueAt, valueLength, cursor.at, end))
    cursor.at = end
  }
}

const corrupt = (bytes: Buffer, at: number, what: string): EmbudoError => {
  const baseOffset = bytes.length - at >= 8 ? readInt64(bytes, at) : undefined
  return new EmbudoError(
    'record_batch_corrupt',
    `The record batch at offset ${baseOffset} ${what}. It was damaged on the way or on the broker's disk.`,
    { facts: { baseOffset }, retriable: true },
  )
}

/** Millions wait in queues at once: it is numbers and the fetched bytes, and buffers are made when they are asked for. */
class FetchedRecord implements WholeRecord {
  readonly offset: number
  readonly timestamp: number
  decoded: unknown = undefined
  readonly #bytes: Buffer
  readonly #keyAt: number
  readonly #keyLength: number
  readonly #valueAt: number
  readonly #valueLength: number
  readonly #headersAt: number
  readonly #end: number
  #value: Buffer | undefined = undefined

  /** Lengths are -1 where there is none. */
  constructor(
    offset: number,
    timestamp: number,
    bytes: Buffer,
    keyAt: number,
    keyLength: number,
    valueAt: number,
    valueLength: number,
    headersAt: number,
    end: number,
  ) {
    this.offset = offset
    this.timestamp = timestamp
    this.#bytes = bytes
    this.#keyAt = keyAt
    this.#keyLength = keyLength
    this.#valueAt = valueAt
    this.#valueLength = valueLength
    this.#headersAt = headersAt
    this.#end = end
  }

  get key(): Buffer | null {
    return this.#keyLength < 0 ? null : this.#bytes.subarray(this.#keyAt, this.#keyAt + this.#keyLength)
  }

  /** Kept: whoever asks for it asks several times. */
  get value(): Buffer | null {
    if (this.#valueLength < 0) return null
    this.#value ??= this.#bytes.subarray(this.#valueAt, this.#valueAt + this.#valueLength)
    return this.#value
  }

  header(name: string): string | undefined {
    const cursor = new Cursor(this.#bytes, this.#headersAt)
    const length = this.#find(name, cursor)
    return length < 0 ? undefined : this.#bytes.toString('utf8', cursor.at, cursor.at + length)
  }

  copyHeader(name: string, into: Buffer, at: number): number {
    const cursor = new Cursor(this.#bytes, this.#headersAt)
    const length = this.#find(name, cursor)
    const fits = Math.min(length, into.length - at)
    for (let index = 0; index < fits; index++) into[at + index] = this.#bytes[cursor.at + index]!
    return length
  }

  /** Moves the cursor to the value of the first header of that name; its length, -1 where there is none. */
  #find(name: string, cursor: Cursor): number {
    for (let left = cursor.varint(); left > 0 && cursor.at < this.#end; left--) {
      const nameLength = cursor.varint()
      if (nameLength < 0) return -1
      const nameAt = cursor.at
      cursor.at += nameLength
      const valueLength = cursor.varint()
      if (isText(this.#bytes, nameAt, nameLength, name)) return valueLength
      if (valueLength > 0) cursor.at += valueLength
    }
    return -1
  }

  headers(): Record<string, string> {
    const found = new Map<string, string>()
    const cursor = new Cursor(this.#bytes, this.#headersAt)
    for (let left = cursor.varint(); left > 0 && cursor.at < this.#end; left--) {
      const name = cursor.bytes(this.#end)?.toString('utf8') ?? ''
      const value = cursor.bytes(this.#end)
      if (value !== null && !found.has(name)) found.set(name, value.toString('utf8'))
    }
    return Object.fromEntries(found)
  }

  body(): Buffer {
    const pieces = lengthBytes(this.key) + (this.key?.length ?? 0) + lengthBytes(this.value)
    return this.#bytes.subarray(this.#headersAt - pieces - (this.value?.length ?? 0), this.#end)
  }
}

/** How many bytes a piece's length takes, a zigzag varint: none is -1. */
function lengthBytes(piece: Buffer | null): number {
  const zigzag = piece === null ? 1 : 2 * piece.length
  return zigzag < 0x80 ? 1 : zigzag < 0x4000 ? 2 : zigzag < 0x20_0000 ? 3 : zigzag < 0x1000_0000 ? 4 : 5
}

function isText(bytes: Buffer, at: number, length: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code > 0x7f) return bytes.toString('utf8', at, at + length) === text
    if (i >= length || bytes[at + i] !== code) return false
  }
  return length === text.length
}

class Cursor {
  readonly #bytes: Buffer
  at: number
  overran = false

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes
    this.at = at
  }

  varint(): number {
    const first = this.#bytes[this.at++]!
    if (first < 0x80) return (first >>> 1) ^ -(first & 1)
    let value = first & 0x7f
    for (let shift = 7; shift < 35; shift += 7) {
      const byte = this.#bytes[this.at++]!
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) break
    }
    return (value >>> 1) ^ -(value & 1)
  }

  /** Timestamp deltas can pass 32 bits, hence arithmetic in place of shifts. */
  varlong(): number {
    let value = 0
    for (let factor = 1, left = 10; left > 0; factor *= 0x80, left--) {
      const byte = this.#bytes[this.at++]!
      value += (byte & 0x7f) * factor
      if (byte < 0x80) break
    }
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2
  }

  bytes(end: number): Buffer | null {
    const length = this.varint()
    const start = this.skip(length, end)
    return length < 0 ? null : this.#bytes.subarray(start, this.at)
  }

  /** Passes so many bytes, none if negative; answers where they begin. */
  skip(length: number, end: number): number {
    const start = this.at
    if (length > 0) this.at += length
    if (this.at > end) this.overran = true
    return start
  }
}
