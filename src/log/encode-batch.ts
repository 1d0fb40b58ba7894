import { crc32c } from './crc32c.ts'
import type { EncodedRecord, RecordContent } from './port.ts'
import {
  AT,
  BEFORE_LENGTH_COUNTS,
  type Compression,
  compress,
  compressionCode,
  writeInt64,
} from './record-batch.ts'
import { bodyOf, writeVarint } from './record-body.ts'

export type EncodableRecord = RecordContent | Pick<EncodedRecord, 'body'>

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
  const bodies = records.map(bodyOf)
  let size: number = AT.records
  for (let index = 0; index < bodies.length; index++) size += encodedSize(bodies[index]!, index)
  let batch = Buffer.allocUnsafe(size)
  let at: number = AT.records
  for (let index = 0; index < bodies.length; index++) at = writeRecord(batch, at, bodies[index]!, index)

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
export const recordSizeBound = (record: EncodableRecord): number => bodyOf(record).length + beforeBodyAtMost

// length, attributes, timestamp delta (0), offset delta: what stands before key, value and headers
const beforeBodyAtMost = 12

const encodedSize = (body: Buffer, index: number): number => {
  const size = sizeOf(body, index)
  return varintSize(size) + size
}

const sizeOf = (body: Buffer, index: number): number => 2 + varintSize(index) + body.length

function writeRecord(batch: Buffer, start: number, body: Buffer, index: number): number {
  let at = writeVarint(batch, start, sizeOf(body, index))
  batch[at++] = 0
  batch[at++] = 0
  at = writeVarint(batch, at, index)
  batch.set(body, at)
  return at + body.length
}

const varintSize = (value: number): number =>
  value < 0x40 ? 1 : value < 0x2000 ? 2 : value < 0x10_0000 ? 3 : value < 0x800_0000 ? 4 : 5
