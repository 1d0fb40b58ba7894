import { describe, expect, it } from 'vitest'
import { crc32c } from '../../../src/log/crc32c.ts'
import { decodeBatches, nextOffsetAfter } from '../../../src/log/decode-batch.ts'
import { encodeBatch } from '../../../src/log/encode-batch.ts'
import { AT, ATTRIBUTE } from '../../../src/log/record-batch.ts'

const record = { key: Buffer.from('k'), value: Buffer.from('v'), headers: [] }

const changed = (change: (batch: Buffer) => void): Buffer => {
  const batch = encodeBatch([record, record], 1_000)
  change(batch)
  batch.writeUInt32BE(crc32c(batch, AT.attributes), AT.crc)
  return batch
}

describe('decoding record batches', () => {
  it('skips transaction markers and goes on behind them', () => {
    const marker = changed((batch) => batch.writeInt16BE(ATTRIBUTE.control, AT.attributes))
    let markers = 0
    const passMarkers = (offsets: number) => (markers += offsets)
    expect(decodeBatches(marker, { passMarkers })).toEqual([])
    expect(markers).toBe(2)
    decodeBatches(marker, { from: 1, passMarkers })
    expect(markers).toBe(3)
    expect(nextOffsetAfter(marker)).toBe(2)
  })

  it('takes the broker’s time where the topic is set to it', () => {
    const batch = changed((bytes) => {
      bytes.writeInt16BE(ATTRIBUTE.logAppendTime, AT.attributes)
      bytes.writeBigInt64BE(5_000n, AT.maxTimestamp)
    })
    expect(decodeBatches(batch).map(({ timestamp }) => timestamp)).toEqual([5_000, 5_000])
  })

  it.each([
    ['snappy', 2],
    ['lz4', 3],
  ])('says that %s is not read', (name, code) => {
    const batch = changed((bytes) => bytes.writeInt16BE(code, AT.attributes))
    expect(() => decodeBatches(batch)).toThrow(
      expect.objectContaining({ code: 'record_batch_unreadable', facts: { compression: name } }),
    )
  })

  it.each([0, 1])('says that the old format v%i is not read', (magic) => {
    const batch = changed((bytes) => {
      bytes[AT.magic] = magic
    })
    expect(() => decodeBatches(batch)).toThrow(
      expect.objectContaining({ code: 'record_batch_unreadable', facts: { magic } }),
    )
  })

  it('refuses a batch that would unfold beyond the bound', () => {
    const large = { ...record, value: Buffer.alloc(1_000_000) }
    const batch = encodeBatch([large], 0, undefined, 'zstd')
    expect(() => decodeBatches(batch, { maxBatchBytes: 10_000 })).toThrow(
      expect.objectContaining({ code: 'record_batch_unreadable' }),
    )
    expect(decodeBatches(batch)).toHaveLength(1)
  })

  it('gives null for a key or value that is not there', () => {
    // attributes, timestamp delta, offset delta, key -1, value -1, no headers
    const nothing = Buffer.from([12, 0, 0, 0, 1, 1, 0])
    const whole = Buffer.concat([encodeBatch([record], 0).subarray(0, AT.records), nothing])
    whole.writeInt32BE(whole.length - AT.leaderEpoch, AT.length)
    whole.writeUInt32BE(crc32c(whole, AT.attributes), AT.crc)
    expect(decodeBatches(whole)).toMatchObject([{ offset: 0, key: null, value: null }])
  })
})
