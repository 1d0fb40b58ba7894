/**
 * Kafka's record batch, format v2: a header of 61 bytes, then the records, compressed as a whole or not.
 * https://kafka.apache.org/documentation/#recordbatch
 */
import { constants, gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { EmbudoError, messageOf } from '../define/error.ts'

export type Compression = 'none' | 'gzip' | 'zstd'

/** Where the header's fields stand. The checksum covers everything from `attributes` on. */
export const AT = {
  baseOffset: 0,
  length: 8,
  leaderEpoch: 12,
  magic: 16,
  crc: 17,
  attributes: 21,
  lastOffsetDelta: 23,
  baseTimestamp: 27,
  maxTimestamp: 35,
  producerId: 43,
  producerEpoch: 51,
  baseSequence: 53,
  count: 57,
  records: 61,
} as const

/** The bytes that `length` does not count: the base offset and the length itself. */
export const BEFORE_LENGTH_COUNTS = 12

export const ATTRIBUTE = { compression: 0x07, logAppendTime: 0x08, control: 0x20 } as const

export const compressionCode = (compression: Compression): number => CODES.indexOf(compression)

export function compress(records: Buffer, compression: Compression): Buffer {
  if (compression === 'gzip') return gzipSync(records)
  if (compression === 'zstd')
    return zstdCompressSync(records, { params: { [constants.ZSTD_c_compressionLevel]: 1 } })
  return records
}

/** `maxOutputBytes` bounds what a small batch may unfold into. */
export function decompress(records: Buffer, code: number, maxOutputBytes: number): Buffer {
  const name = CODES[code]
  const limit = { maxOutputLength: maxOutputBytes }
  try {
    if (name === 'gzip') return gunzipSync(records, limit)
    if (name === 'zstd') return zstdDecompressSync(records, limit)
  } catch (error) {
    throw new EmbudoError(
      'record_batch_unreadable',
      `A record batch cannot be unpacked with ${name}: ${messageOf(error)}`,
      { facts: { compression: name, maxOutputBytes }, cause: error },
    )
  }
  throw new EmbudoError(
    'record_batch_unreadable',
    `A record batch is compressed with ${name ?? `codec ${code}`}, which is not supported. Let its producer use none, gzip or zstd.`,
    { facts: { compression: name ?? code } },
  )
}

const CODES = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

// Offsets and timestamps fit a number: 2^53 is far beyond both.
export const readInt64 = (buffer: Buffer, at: number): number =>
  buffer.readInt32BE(at) * 0x1_0000_0000 + buffer.readUInt32BE(at + 4)

export function writeInt64(buffer: Buffer, value: number, at: number): void {
  buffer.writeInt32BE(Math.floor(value / 0x1_0000_0000), at)
  buffer.writeUInt32BE(value >>> 0, at + 4)
}
