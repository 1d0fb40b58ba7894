import { crc32c } from './crc32c.ts'
import type { AppendRecord } from './port.ts'
import {
  AT,
  BEFORE_LENGTH_COUNTS,
  type Compression,
  compress,
  compressionCode,
  writeInt64,
} from './record-batch.ts'

export type EncodableRecord = Pick<AppendRecord, 'key' | 'value' | 'headers'>

export interface BatchIdentity {
  readonly producerId: bigint
  readonly producerEpoch: number
  readonly baseSequence: number
}

/** One record batch as one Buffer. The broker sets the offsets: in here they count from 0. */
export function encodeBatch(
  records: readonly EncodableRecord[],
  timestamp: number,
  identity: BatchIdentity = NO_PRODUCER,
  compression: Compression = 'none',
): Buffer {
  let size = AT.records
  for (let index = 0; index < records.length; index++) size += encodedSize(records[index]!, index)
  let batch = Buffer.allocUnsafe(size)
  let at: number = AT.records
  for (let index = 0; index < records.length; index++) at = writeRecord(batch, at, records[index]!, index)

  if (compression !== 'none') {
    const compressed = compress(batch.subarray(AT.records), compression)
    const smaller = Buffer.allocUnsafe(AT.records + compressed.length)
    compressed.copy(smaller, AT.records)
    batch = smaller
  }
  writeInt64(batch, 0, AT.baseOffset)
  batch.writeInt32BE(batch.length - BEFORE_LENGTH_COUNTS, AT.length)
  batch.writeInt32BE(-1, AT.leaderEpoch)
  batch[AT.magic] = 2
  batch.writeInt16BE(compressionCode(compression), AT.attributes)
  batch.writeInt32BE(records.length - 1, AT.lastOffsetDelta)
  writeInt64(batch, timestamp, AT.baseTimestamp)
  writeInt64(batch, timestamp, AT.maxTimestamp)
  batch.writeBigInt64BE(identity.producerId, AT.producerId)
  batch.writeInt16BE(identity.producerEpoch, AT.producerEpoch)
  batch.writeInt32BE(identity.baseSequence, AT.baseSequence)
  batch.writeInt32BE(records.length, AT.count)
  batch.writeUInt32BE(crc32c(batch, AT.attributes), AT.crc)
  return batch
}

const NO_PRODUCER: BatchIdentity = { producerId: -1n, producerEpoch: -1, baseSequence: -1 }

/** The bytes that a record takes in a batch at most, whatever its place in there; before compression. */
export const recordSizeBound = (record: EncodableRecord): number => {
  const body = bodySize(record, 0x3fff_ffff)
  return varintSize(body) + body
}

const encodedSize = (record: EncodableRecord, index: number): number => {
  const body = bodySize(record, index)
  return varintSize(body) + body
}

// attributes (1 byte), timestamp delta (0: 1 byte), offset delta, key, value, headers
function bodySize({ key, value, headers }: EncodableRecord, index: number): number {
  let size = 2 + varintSize(index)
  size += varintSize(key.length) + key.length + varintSize(value.length) + value.length
  size += varintSize(headers.length)
  for (let at = 0; at < headers.length; at++) {
    const header = headers[at]!
    size += textSize(header[0]) + textSize(header[1])
  }
  return size
}

const textSize = (text: string): number => {
  const bytes = Buffer.byteLength(text)
  return varintSize(bytes) + bytes
}

function writeRecord(batch: Buffer, start: number, record: EncodableRecord, index: number): number {
  let at = writeVarint(batch, start, bodySize(record, index))
  batch[at++] = 0
  batch[at++] = 0
  at = writeVarint(batch, at, index)
  at = writeBytes(batch, at, record.key)
  at = writeBytes(batch, at, record.value)
  const headers = record.headers
  at = writeVarint(batch, at, headers.length)
  for (let place = 0; place < headers.length; place++) {
    const header = headers[place]!
    at = writeText(batch, writeText(batch, at, header[0]), header[1])
  }
  return at
}

function writeBytes(batch: Buffer, start: number, bytes: Buffer): number {
  const at = writeVarint(batch, start, bytes.length)
  batch.set(bytes, at)
  return at + bytes.length
}

function writeText(batch: Buffer, start: number, text: string): number {
  const bytes = Buffer.byteLength(text)
  const at = writeVarint(batch, start, bytes)
  // Headers are short: a loop over them beats the call into native code, as long as they are ASCII.
  if (bytes === text.length && bytes < 64) for (let i = 0; i < bytes; i++) batch[at + i] = text.charCodeAt(i)
  else batch.write(text, at)
  return at + bytes
}

// Lengths and counts are never negative, so the zigzag of n is 2n.
function writeVarint(batch: Buffer, start: number, value: number): number {
  let rest = (value << 1) >>> 0
  let at = start
  while (rest > 0x7f) {
    batch[at++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  batch[at++] = rest
  return at
}

const varintSize = (value: number): number =>
  value < 0x40 ? 1 : value < 0x2000 ? 2 : value < 0x10_0000 ? 3 : value < 0x800_0000 ? 4 : 5
