import { isUtf8 } from 'node:buffer'
import type { IncomingMessage } from 'node:http'
import { promisify } from 'node:util'
import { constants, gunzip, zstdDecompress } from 'node:zlib'
import { EmbudoError } from '../define/error.ts'

export interface BodyLimits {
  /** After decompression. */
  readonly maxBytes: number
  /** From the first byte to the last. */
  readonly deadlineMs: number
}

/**
 * The whole body, decompressed. Throws `body_too_large`, `body_timeout`, `body_malformed`, and `client_gone` when
 * nobody is left to be answered.
 */
export const readBody = async (
  request: IncomingMessage,
  encoding: 'identity' | 'gzip' | 'zstd',
  limits: BodyLimits,
): Promise<Buffer> => {
  const bytes = await collect(request, limits)
  if (encoding === 'identity' || bytes.length === 0) return bytes
  try {
    return encoding === 'gzip'
      ? await gunzipped(bytes, { maxOutputLength: limits.maxBytes })
      : await unzstd(bytes, { maxOutputLength: limits.maxBytes, params: zstdParams })
  } catch (cause) {
    if ((cause as { code?: unknown }).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(limits.maxBytes)
    throw new EmbudoError('body_malformed', `the body is not ${encoding}, or it is cut off`, { cause })
  }
}

/** JSON in UTF-8, or `malformed_json`. */
export const parseJson = (bytes: Buffer): unknown => {
  if (!isUtf8(bytes))
    throw new EmbudoError('malformed_json', 'expected JSON in UTF-8; the body has other bytes')
  try {
    return JSON.parse(withoutMark(bytes).toString('utf8'))
  } catch (cause) {
    if (bytes.length === 0)
      throw new EmbudoError('malformed_json', 'expected JSON; the body is empty', { cause })
    throw new EmbudoError('malformed_json', `expected JSON: ${syntaxMessage(cause)}`, { cause })
  }
}

/** Where the JSON breaks, without the piece of the body that V8 quotes: it may be personal. */
export const syntaxMessage = (cause: unknown): string => {
  const place = /at position \d+/.exec(String(cause))?.[0]
  return place === undefined ? 'it ends too early or holds something else' : `unexpected character ${place}`
}

/** RFC 9659 asks for windows of at most 8 MiB: a larger one costs its sender's victim that memory. */
export const zstdParams = { [constants.ZSTD_d_windowLogMax]: 23 }

const gunzipped = promisify<Buffer, { maxOutputLength: number }, Buffer>(gunzip)
const unzstd = promisify<Buffer, { maxOutputLength: number; params: Record<number, number> }, Buffer>(
  zstdDecompress,
)

const collect = (request: IncomingMessage, { maxBytes, deadlineMs }: BodyLimits): Promise<Buffer> => {
  const announced = Number(request.headers['content-length'] ?? 0)
  if (announced > maxBytes) {
    request.resume()
    return Promise.reject(tooLarge(maxBytes))
  }
  return new Promise((resolve, reject) => {
    let first: Buffer | undefined
    let rest: Buffer[] | undefined
    let length = 0
    // A small body comes in one piece, before any timer is worth its cost.
    let deadline: NodeJS.Timeout | undefined

    const settle = () => {
      clearTimeout(deadline)
      request.off('data', onData).off('end', onEnd).off('error', onGone).off('close', onGone)
    }
    const fail = (error: EmbudoError) => {
      settle()
      request.on('error', () => {})
      // What is still to come is read and thrown away, so that the sender gets to read the answer.
      request.resume()
      reject(error)
    }
    const onData = (chunk: Buffer) => {
      length += chunk.length
      if (length > maxBytes) return fail(tooLarge(maxBytes))
      if (first === undefined) first = chunk
      else if (rest === undefined) rest = [first, chunk]
      else rest.push(chunk)
      if (deadline === undefined && length !== announced) {
        deadline = setTimeout(
          () => fail(new EmbudoError('body_timeout', `the body took longer than ${deadlineMs} ms`)),
          deadlineMs,
        )
      }
    }
    const onEnd = () => {
      settle()
      resolve(rest === undefined ? (first ?? Buffer.alloc(0)) : Buffer.concat(rest, length))
    }
    const onGone = () => {
      settle()
      reject(new EmbudoError('client_gone', 'the connection closed in the middle of the body'))
    }
    request.on('data', onData).on('end', onEnd).on('error', onGone).on('close', onGone)
  })
}

const tooLarge = (maxBytes: number): EmbudoError =>
  new EmbudoError(
    'body_too_large',
    `the body is larger than ${maxBytes} bytes; send more in several requests or as application/x-ndjson`,
    {
      facts: { maxBytes },
    },
  )

const withoutMark = (bytes: Buffer): Buffer =>
  bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes
