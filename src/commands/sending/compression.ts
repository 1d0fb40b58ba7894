import { Readable } from 'node:stream'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { EmbudoError, messageOf } from '../../define/error.ts'

/** gzip and zstd are known by their first bytes, whatever the file is called; all else passes as it is. */
export async function* decompressed(pieces: AsyncIterable<Buffer>, name: string): AsyncGenerator<Buffer> {
  const iterator = pieces[Symbol.asyncIterator]()
  const whole = { [Symbol.asyncIterator]: () => ({ next: () => iterator.next() }) }
  try {
    const start = await firstBytes(iterator)
    const unpack = unpackerOf(start)
    if (unpack === undefined) {
      if (start.length > 0) yield start
      yield* whole
      return
    }
    const packed = async function* () {
      yield start
      yield* whole
    }
    const input = Readable.from(packed(), { objectMode: false })
    input.on('error', (error) => unpack.destroy(error))
    try {
      yield* input.pipe(unpack)
    } catch (cause) {
      if (cause instanceof EmbudoError) throw cause
      throw new EmbudoError('file_unreadable', `${name} cannot be unpacked: ${messageOf(cause)}`, { cause })
    } finally {
      input.destroy()
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

const unpackerOf = (start: Buffer) => {
  if (start[0] === 0x1f && start[1] === 0x8b) return createGunzip({ chunkSize: 256 * 1024 })
  if (start.length >= 4 && start.readUInt32LE() === 0xfd2fb528)
    return createZstdDecompress({ chunkSize: 256 * 1024 })
  return undefined
}
