import { open, stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { EmbudoError, messageOf } from '../../define/error.ts'
import type { CommandContext } from '../context.ts'

export interface Source {
  /** Its last part, as ids and rejects name it; `-` for standard input. */
  readonly name: string
  readonly path: string
  /** Unknown for standard input. */
  readonly bytes: number | undefined
  readonly open: () => AsyncIterable<Buffer>
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

const standardInput = (stdin: NodeJS.ReadableStream): Source => ({
  name: '-',
  path: '-',
  bytes: undefined,
  open: () => stdin as AsyncIterable<Buffer>,
})

const fileAt = async (path: string): Promise<Source> => {
  try {
    const { size } = await stat(path)
    return { name: basename(path), path, bytes: size, open: () => read(path) }
  } catch (cause) {
    throw new EmbudoError('file_unreadable', `${path} cannot be read: ${messageOf(cause)}`, { cause })
  }
}

async function* read(path: string): AsyncGenerator<Buffer> {
  await using file = await open(path)
  yield* file.createReadStream({ autoClose: false, highWaterMark: 256 * 1024 })
}
