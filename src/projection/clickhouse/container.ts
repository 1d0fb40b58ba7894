import type { AvroRecord } from '../../define/field.ts'

/**
 * Rows on their way into one table, as Avro's binary encoding: a few metadata fields, then the payload's own
 * bytes, untouched. An Avro record is the concatenation of its fields, so nothing needs decoding.
 */
export class Rows {
  count = 0
  firstOffset = 0
  lastOffset = 0
  #bytes = Buffer.allocUnsafeSlow(16 * 1024)
  #end = 0

  get byteLength(): number {
    return this.#end
  }

  bytes(): Buffer {
    return this.#bytes.subarray(0, this.#end)
  }

  /** `payload` from `from` on is a record of the event's current schema. */
  add(row: RowMetadata, payload: Buffer, from: number): void {
    // A character takes at most 3 bytes in UTF-8; the numbers and lengths take less than 64 together.
    this.#reserve((row.id.length + row.source.length) * 3 + payload.length + 64)
    const bytes = this.#bytes
    let at = writeText(bytes, this.#end, row.id)
    at = writeLong(bytes, at, row.timeMs)
    at = writeLong(bytes, at, row.appendedAtMs)
    at = writeText(bytes, at, row.source)
    at = writeLong(bytes, at, row.partition)
    at = writeLong(bytes, at, row.offset)
    this.#end = at + payload.copy(bytes, at, from)
    if (this.count++ === 0) this.firstOffset = row.offset
    this.lastOffset = row.offset
  }

  /** Where it stands now, to come back to. */
  bookmark(): Bookmark {
    return { count: this.count, firstOffset: this.firstOffset, lastOffset: this.lastOffset, end: this.#end }
  }

  backTo({ count, firstOffset, lastOffset, end }: Bookmark): void {
    this.count = count
    this.firstOffset = firstOffset
    this.lastOffset = lastOffset
    this.#end = end
  }

  #reserve(more: number): void {
    if (this.#end + more <= this.#bytes.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, this.#end + more))
    this.#bytes.copy(larger, 0, 0, this.#end)
    this.#bytes = larger
  }
}

interface Bookmark {
  readonly count: number
  readonly firstOffset: number
  readonly lastOffset: number
  readonly end: number
}

export interface RowMetadata {
  readonly id: string
  readonly timeMs: number
  readonly appendedAtMs: number
  readonly source: string
  readonly partition: number
  readonly offset: number
}

export const metadataFields = [
  { name: '_event_id', type: 'string' },
  { name: '_time', type: { type: 'long', logicalType: 'timestamp-millis' } },
  { name: '_appended_at', type: { type: 'long', logicalType: 'timestamp-millis' } },
  { name: '_source', type: 'string' },
  { name: '_partition', type: 'int' },
  { name: '_offset', type: 'long' },
]

/** The names of the metadata that rows carry; what is the same for all rows of an insert is said in its SQL. */
export const carriedColumns: readonly string[] = metadataFields.map((field) => field.name)

/**
 * An Avro object container file of one block. One block on purpose: it says how many bytes it has, so a
 * container that was cut off on its way can never pass for a shorter one.
 * https://avro.apache.org/docs/1.12.0/specification/#object-container-files
 */
export const containerOf = (payload: AvroRecord, parts: readonly Contained[]): Buffer[] => {
  const fields = [...metadataFields, ...payload.fields.map(({ name, type }) => ({ name, type }))]
  const schema = JSON.stringify({ type: 'record', name: payload.name, fields })
  const count = parts.reduce((sum, rows) => sum + rows.count, 0)
  const size = parts.reduce((sum, rows) => sum + rows.byteLength, 0)
  const head = Buffer.allocUnsafe(schema.length * 3 + 128)
  let at = head.write('Obj\u0001', 'latin1')
  at = writeLong(head, at, 2)
  for (const part of ['avro.codec', 'null', 'avro.schema', schema]) at = writeText(head, at, part)
  at = writeLong(head, at, 0)
  at += sync.copy(head, at)
  at = writeLong(head, at, count)
  at = writeLong(head, at, size)
  return [head.subarray(0, at), ...parts.map((rows) => rows.bytes()), sync]
}

type Contained = Pick<Rows, 'count' | 'byteLength' | 'bytes'>

/** Separates blocks in files that are cut up; ours have one block and travel whole, so a constant serves. */
const sync = Buffer.from('embudo-container', 'latin1')

/** A zigzag varint. `value` is a whole number below 2^52. */
const writeLong = (bytes: Buffer, start: number, value: number): number => {
  let at = start
  let rest = value >= 0 ? value * 2 : -value * 2 - 1
  for (; rest >= 0x1000_0000; rest = Math.floor(rest / 0x80)) bytes[at++] = (rest % 0x80) | 0x80
  let low = rest | 0
  for (; low >= 0x80; low >>>= 7) bytes[at++] = (low & 0x7f) | 0x80
  bytes[at++] = low
  return at
}

/** Nearly every text is shorter than 64 bytes: its length takes one byte, which is written after it. */
const writeText = (bytes: Buffer, at: number, text: string): number => {
  const length = bytes.write(text, at + 1, 'utf8')
  if (length < 64) {
    bytes[at] = length * 2
    return at + 1 + length
  }
  const start = writeLong(bytes, at, length)
  // The length was written over the text's first bytes where it takes more than one byte.
  return start + bytes.write(text, start, 'utf8')
}
