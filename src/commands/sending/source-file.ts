import { open, stat } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import { EmbudoError, messageOf } from '../../define/error.ts'
import type { CommandContext } from '../context.ts'
import { decompressed } from './compression.ts'

export interface Source {
  /** Its last part, as rejects name it; `-` for standard input. */
  readonly name: string
  readonly path: string
  /** As it lies there; unknown for standard input. */
  readonly bytes: number | undefined
  /** Of `bytes`, in the reading that was begun last. */
  readonly bytesRead: () => number
  /** Its first bytes, decompressed; up to `upTo` of them, or those up to the first pause where it is undefined. */
  readonly head: (upTo?: number) => Promise<Buffer>
  /** All of it from its beginning, decompressed. Of standard input: once. */
  readonly pieces: () => AsyncIterable<Buffer>
}

/** Looks at every file before anything is sent: a missing one ends the command while nothing is done yet. */
export const sourcesOf = async (
  paths: readonly string[],
  { stdin }: Pick<CommandContext, 'stdin'>,
): Promise<Source[]> =>
  await Promise.all(
    (paths.length === 0 ? ['-'] : paths).map(async (path) =>
      path === '-' ? standardInput(stdin) : await fileAt(path),
    ),
  )

const standardInput = (stdin: NodeJS.ReadableStream): Source => {
  const kept: Buffer[] = []
  let bytes = 0
  let isAtEnd = false
  const pieces = decompressed(stdin as AsyncIterable<Buffer>, 'standard input')[Symbol.asyncIterator]()
  return {
    name: '-',
    path: '-',
    bytes: undefined,
    bytesRead: () => bytes,
    head: async (upTo = 1) => {
      while (!isAtEnd && bytes < upTo) {
        const { value, done } = await pieces.next()
        if (done === true) isAtEnd = true
        else {
          kept.push(value)
          bytes += value.length
        }
      }
      return Buffer.concat(kept)
    },
    async *pieces() {
      yield* kept.splice(0)
      yield* { [Symbol.asyncIterator]: () => pieces }
    },
  }
}

const fileAt = async (path: string): Promise<Source> => {
  let size: number
  try {
    const found = await stat(path)
    if (found.isDirectory()) throw new Error('it is a folder; name the files in it')
    size = found.size
  } catch (cause) {
    throw unreadable(path, cause)
  }
  let bytesRead = 0
  return {
    name: basename(path),
    path,
    bytes: size,
    bytesRead: () => bytesRead,
    head: async (upTo = headBytes) => {
      const kept: Buffer[] = []
      let bytes = 0
      for await (const piece of decompressed(read(path, headBytes), path)) {
        kept.push(piece)
        bytes += piece.length
        if (bytes >= upTo) break
      }
      return Buffer.concat(kept)
    },
    pieces: () => {
      bytesRead = 0
      const counted = async function* () {
        for await (const piece of read(path, pieceBytes)) {
          bytesRead += piece.length
          yield piece
        }
      }
      return decompressed(counted(), path)
    },
  }
}

const unreadable = (path: string, cause: unknown): EmbudoError => {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  const advice =
    code === 'ENOENT' || code === 'ENOTDIR'
      ? `there is no such file; look at the name and at the folder it is told from (${resolve('.')})`
      : code === 'EACCES' || code === 'EPERM'
        ? 'you may not read it; ask its owner, or give yourself the right with chmod'
        : messageOf(cause)
  return new EmbudoError('file_unreadable', `${path} cannot be read: ${advice}`, { cause })
}

const headBytes = 256 * 1024
const pieceBytes = 1024 * 1024

async function* read(path: string, highWaterMark: number): AsyncGenerator<Buffer> {
  try {
    await using file = await open(path)
    yield* file.createReadStream({ autoClose: false, highWaterMark })
  } catch (cause) {
    throw unreadable(path, cause)
  }
}
