import { Readable, type Transform } from 'node:stream'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { EmbudoError, messageOf } from '../../define/error.ts'
import { piped } from '../../http/body.ts'
import { zstdFrames } from '../../http/zstd-frames.ts'

/** gzip and zstd are known by their first bytes, whatever the file is called; all else passes as it is. */
export async function* decompressed(pieces: AsyncIterable<Buffer>, name: string): AsyncGenerator<Buffer> {
  const iterator = pieces[Symbol.asyncIterator]()
  const whole = { [Symbol.asyncIterator]: () => ({ next: () => iterator.next() }) }
  try {
    const start = await firstBytes(iterator)
    const steps = stepsOf(start)
    if (steps.length === 0) {
      if (start.length > 0) yield start
      yield* whole
      return
    }
    const packed = async function* () {
      yield start
      yield* whole
    }
    const input = Readable.from(packed(), { objectMode: false })
    try {
      yield* piped(input, steps)
    } catch (cause) {
      if (cause instanceof EmbudoError && cause.code !== 'body_malformed') throw cause
      const why = cause instanceof EmbudoError ? 'it is not zstd, or it is cut off' : messageOf(cause)
      throw new EmbudoError('file_unreadable', `${name} cannot be unpacked: ${why}`, { cause })
    } finally {
      for (const step of [input, ...steps]) step.destroy()
    }
  } finally {
    // Not waited for: standard input may never say anything again.
    iterator.return?.()?.catch(() => undefined)
  }
}

/** A pipe may begin with a single byte. */
const firstBytes = async (iterator: AsyncIterator<Buffer>): Promise<Buffer> => {
  let bytes: Buffer = Buffer.alloc(0)
  while (bytes.length < 4) {
    const { value, done } = await iterator.next()
    if (done === true) break
    bytes = bytes.length === 0 ? value : Buffer.concat([bytes, value])
  }
  return bytes
}

const stepsOf = (start: Buffer): Transform[] => {
  if (start[0] === 0x1f && start[1] === 0x8b) return [createGunzip({ chunkSize })]
  // Any number of frames, and whatever window zstd itself takes: it is the person's own file.
  if (isZstd(start)) return [zstdFrames(Number.POSITIVE_INFINITY), createZstdDecompress({ chunkSize })]
  return []
}

/** Also a frame that is to be skipped, as pzstd writes one in front of each of its own. */
const isZstd = (start: Buffer): boolean => {
  if (start.length < 4) return false
  const magic = start.readUInt32LE()
  return magic === 0xfd2fb528 || (magic >= 0x184d2a50 && magic <= 0x184d2a5f)
}

const chunkSize = 256 * 1024
