import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { constants, createZstdCompress, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { decompressed } from '../../../src/commands/sending/compression.ts'

const unpacked = async (packed: Buffer, pieceBytes = packed.length): Promise<string> => {
  const pieces = async function* () {
    for (let from = 0; from < packed.length; from += pieceBytes)
      yield packed.subarray(from, from + pieceBytes)
  }
  return (await buffer(Readable.from(decompressed(pieces(), 'a.ndjson')))).toString()
}
const frame = (text: string) => zstdCompressSync(Buffer.from(text))
/** As pzstd writes one in front of each frame. */
const skippable = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4])

describe('a packed file', () => {
  it.each([1, 7, 100_000])('is read with all of its frames, in pieces of %i bytes', async (pieceBytes) => {
    const zstd = Buffer.concat([frame('one\n'), skippable, frame('two\n'), frame(''), frame('three\n')])
    const gzip = Buffer.concat([gzipSync('one\n'), gzipSync('two\n'), gzipSync('three\n')])
    expect(await unpacked(zstd, pieceBytes)).toBe('one\ntwo\nthree\n')
    expect(await unpacked(Buffer.concat([skippable, zstd]), pieceBytes)).toBe('one\ntwo\nthree\n')
    expect(await unpacked(gzip, pieceBytes)).toBe('one\ntwo\nthree\n')
    expect(await unpacked(skippable, pieceBytes)).toBe('')
  })

  it('may have more frames, and a longer window, than a body of HTTP', async () => {
    const line = frame('{}\n')
    expect(await unpacked(Buffer.concat(Array.from({ length: 5_000 }, () => line)))).toHaveLength(15_000)
    const packer = createZstdCompress({ params: { [constants.ZSTD_c_windowLog]: 24 } })
    // Only of what comes piece by piece zstd does not know that so long a window is not needed.
    packer.write('a')
    packer.end('b')
    const long = await buffer(packer)
    expect(() => zstdDecompressSync(long, { params: { [constants.ZSTD_d_windowLogMax]: 23 } })).toThrow()
    expect(await unpacked(long)).toBe('ab')
  })

  it.each([
    ['in its frame', (whole: Buffer) => whole.subarray(0, -3)],
    ['in its last frame', (whole: Buffer) => Buffer.concat([whole, whole.subarray(0, -3)])],
    [
      'in the magic number of its last frame',
      (whole: Buffer) => Buffer.concat([whole, whole.subarray(0, 2)]),
    ],
    ['by something else behind it', (whole: Buffer) => Buffer.concat([whole, Buffer.from('{"a":1}')])],
  ])('is refused where it is cut off %s', async (_, change) => {
    await expect(unpacked(change(frame('{"a":1}\n'.repeat(1_000))))).rejects.toMatchObject({
      code: 'file_unreadable',
      message: expect.stringMatching(/^a\.ndjson cannot be unpacked: it is not zstd, or it is cut off$/),
    })
  })

  it('tells of what went wrong where it is read', async () => {
    const pieces = async function* () {
      yield frame('one\n').subarray(0, 8)
      throw new Error('the disk is gone')
    }
    await expect(buffer(Readable.from(decompressed(pieces(), 'a')))).rejects.toThrow('the disk is gone')
  })
})
