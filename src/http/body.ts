import { isUtf8 } from 'node:buffer'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Readable, Transform } from 'node:stream'
import { constants, createGunzip, createZstdDecompress } from 'node:zlib'
import { EmbudoError } from '../define/error.ts'
import { Gathered } from './gathered.ts'
import { zstdFrames } from './zstd-frames.ts'

export interface BodyLimits {
  /** After decompression. */
  readonly maxBytes: number
  /** From the request's head to the last byte. */
  readonly deadlineMs: number
  /** What the body holds while it is read, beside `announcedBytes`; `grow` throws where there is no room left. */
  readonly room?: Room
}

export interface Room {
  grow(bytes: number): void
  shrink(bytes: number): void
}

export type Encoding = 'identity' | 'gzip' | 'zstd'

/** What the body will take by its own word: nothing where it comes in chunks, or unfolds. Throws `body_too_large`. */
export const announcedBytes = (request: IncomingMessage, encoding: Encoding, maxBytes: number): number => {
  const length = Number(request.headers['content-length'] ?? 0)
  if (length > maxBytes) throw tooLarge(maxBytes)
  return encoding === 'identity' ? length : 0
}

/** A client that asks before it sends (Expect: 100-continue) is told that its body is wanted. */
export const invite = (request: IncomingMessage, response: ServerResponse): void => {
  if (request.headers.expect !== undefined) response.writeContinue()
}

/**
 * The whole body, decompressed as it comes. Throws `body_too_large`, `body_timeout`, `body_malformed`, what
 * `room.grow` throws, and `client_gone` when nobody is left to be answered.
 */
export const readBody = async (
  request: IncomingMessage,
  encoding: Encoding,
  limits: BodyLimits,
): Promise<Buffer> => {
  const announced = announcedBytes(request, encoding, limits.maxBytes)
  if (encoding === 'identity') return await collect(request, request, announced, 1, limits)
  const steps = decompressors(encoding)
  try {
    // A window of zstd's, which its sender chooses, takes as much again as it has given out.
    return await collect(request, piped(request, steps), undefined, encoding === 'zstd' ? 2 : 1, limits)
  } catch (cause) {
    if (cause instanceof EmbudoError) throw cause
    throw new EmbudoError('body_malformed', `the body is not ${encoding}, or it is cut off`, { cause })
  } finally {
    for (const step of steps) step.destroy()
  }
}

/** JSON in UTF-8, or `malformed_json`; `too_deep` is for `jsonShape` to say before. */
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
const zstdParams = { [constants.ZSTD_d_windowLogMax]: 23 }

/** What a compressed body is piped through, in this order. */
export const decompressors = (encoding: 'gzip' | 'zstd'): Transform[] =>
  encoding === 'gzip' ? [createGunzip()] : [zstdFrames(), createZstdDecompress({ params: zstdParams })]

/** One after the other; what goes wrong in one goes wrong in the last. */
export const piped = (source: Readable, steps: readonly Transform[]): Readable => {
  let from = source
  for (const step of steps) {
    from.on('error', (error) => step.destroy(error))
    from = from.pipe(step)
  }
  return from
}

/** `announced`: what has been counted before; `weight`: how often each byte that comes counts until all are here. */
const collect = (
  request: IncomingMessage,
  source: Readable,
  announced: number | undefined,
  weight: number,
  { maxBytes, deadlineMs, room }: BodyLimits,
): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const gathered = new Gathered()
    let length = 0
    let deadline: NodeJS.Timeout | undefined
    let isSettled = false

    const settle = () => {
      isSettled = true
      clearTimeout(deadline)
      source.off('data', onData).off('end', onEnd)
      request.off('close', onGone)
    }
    const fail = (error: unknown) => {
      if (isSettled) return
      settle()
      // Whoever answers says how much of the rest is thrown away.
      if (source !== request) request.unpipe()
      request.pause()
      reject(error)
    }
    const onData = (chunk: Buffer) => {
      length += chunk.length
      if (length > maxBytes) return fail(tooLarge(maxBytes))
      if (length > (announced ?? 0)) {
        try {
          room?.grow(chunk.length * weight)
        } catch (error) {
          return fail(error)
        }
      }
      gathered.push(chunk)
    }
    const onEnd = () => {
      settle()
      if (weight > 1) room?.shrink(length * (weight - 1))
      resolve(gathered.take())
    }
    const onGone = () => {
      // What has come as a whole may still be unfolding.
      if (!request.complete)
        fail(new EmbudoError('client_gone', 'the connection closed in the middle of the body'))
    }
    source
      .on('data', onData)
      .on('end', onEnd)
      .on('error', source === request ? onGone : fail)
    request.on('close', onGone)
    // A small body comes together with its head: only one that has not come by now is worth a timer.
    process.nextTick(() => {
      if (isSettled || request.complete) return
      deadline = setTimeout(
        () =>
          fail(
            new EmbudoError('body_timeout', `the body took longer than ${deadlineMs} ms; send it again`, {
              retriable: true,
            }),
          ),
        deadlineMs,
      )
    })
  })

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
