import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { ZstdFrames } from '../../../src/http/zstd-frames.ts'

const skippable = (length: number) => {
  const frame = Buffer.alloc(8 + length, 0x28)
  frame.writeUInt32LE(0x184d2a5f, 0)
  frame.writeUInt32LE(length, 4)
  return frame
}

const frame = fc.oneof(
  fc
    .tuple(
      fc.oneof(
        fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
        // Several blocks, and blocks of one byte over and over.
        fc.integer({ min: 100_000, max: 400_000 }).map((length) => Buffer.alloc(length, 'ab\0')),
        fc.integer({ min: 0, max: 400_000 }).map((length) => Buffer.alloc(length, 7)),
      ),
      fc.boolean(),
      fc.boolean(),
    )
    .map(([plain, checksum, contentSize]) => ({
      plain,
      sent: zstdCompressSync(plain, {
        params: {
          [constants.ZSTD_c_checksumFlag]: checksum ? 1 : 0,
          [constants.ZSTD_c_contentSizeFlag]: contentSize ? 1 : 0,
        },
      }),
    })),
  fc.nat(20).map((length) => ({ plain: Buffer.alloc(0), sent: skippable(length) })),
)

it('frames come out one by one, however the body is cut; only between them it is whole', () => {
  fc.assert(
    fc.property(
      fc.array(frame, { maxLength: 5 }),
      fc.array(fc.nat(3_000), { maxLength: 8 }),
      (sent, cuts) => {
        const body = Buffer.concat(sent.map((one) => one.sent))
        const places = [...new Set(cuts.filter((at) => at < body.length))].sort((a, b) => a - b)
        const frames = new ZstdFrames()
        const ends = new Set<number>()
        let end = 0
        for (const one of sent) {
          end += one.sent.length
          ends.add(end)
        }

        let at = 0
        const plain: Buffer[] = []
        let pending: Buffer[] = []
        for (const [n, from] of [0, ...places].entries()) {
          for (const piece of frames.cut(body.subarray(from, places[n] ?? body.length))) {
            at += piece.length
            pending.push(piece)
            if (!ends.has(at)) continue
            plain.push(zstdDecompressSync(Buffer.concat(pending)))
            pending = []
          }
          expect(frames.isBetweenFrames).toBe(at === 0 || ends.has(at))
        }
        expect(at).toBe(body.length)
        expect(Buffer.concat(plain).equals(Buffer.concat(sent.map((one) => one.plain)))).toBe(true)
      },
    ),
    { numRuns: 200 },
  )
})

it('what is no frame is refused', () => {
  const body = zstdCompressSync('hello')
  expect(() => new ZstdFrames().cut(Buffer.from('{"type":'))).toThrow('not zstd')
  expect(() => new ZstdFrames().cut(Buffer.concat([body, Buffer.from('more')]))).toThrow('not zstd')
})
