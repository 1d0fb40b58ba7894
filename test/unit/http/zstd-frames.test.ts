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

const isSkippable = (frame: Buffer) => frame[3] === 0x18

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

        const plain: Buffer[] = []
        let pending: Buffer[] = []
        for (const [n, from] of [0, ...places].entries()) {
          const to = places[n] ?? body.length
          for (const piece of frames.cut(body.subarray(from, to))) {
            const kept = sent.filter((one) => !isSkippable(one.sent))[plain.length]
            pending.push(piece)
            const frame = Buffer.concat(pending)
            expect(kept?.sent.subarray(0, frame.length).equals(frame)).toBe(true)
            if (frame.length < (kept?.sent.length ?? 0)) continue
            plain.push(zstdDecompressSync(frame))
            pending = []
          }
          expect(frames.isBetweenFrames).toBe(to === 0 || ends.has(to))
        }
        expect(pending).toEqual([])
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

it('frames that are to be skipped go no further, however many there are', () => {
  const body = Buffer.concat([...Array<Buffer>(20_000).fill(skippable(3)), zstdCompressSync('hello')])
  const frames = new ZstdFrames()
  const pieces = [...frames.cut(body.subarray(0, 102)), ...frames.cut(body.subarray(102))]
  expect(zstdDecompressSync(Buffer.concat(pieces)).toString()).toBe('hello')
  expect(pieces).toHaveLength(1)
})

it.each([
  ['without a byte', zstdCompressSync('')],
  ['of one byte', zstdCompressSync(' ')],
])('a body of thousands of frames %s is refused', (_, tiny) => {
  const many = (count: number) => Buffer.concat(Array<Buffer>(count).fill(tiny))
  expect(new ZstdFrames().cut(many(4_096))).toHaveLength(4_096)
  expect(() => new ZstdFrames().cut(many(4_097))).toThrow('compress it as a whole')
})

it('events that come in a frame each are taken, however many there are', () => {
  const event = zstdCompressSync(JSON.stringify({ type: 'webinar_attended', data: { leadId: 'L-1' } }))
  expect(new ZstdFrames().cut(Buffer.concat(Array<Buffer>(20_000).fill(event)))).toHaveLength(20_000)
})
