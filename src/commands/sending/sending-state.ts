import { createHash } from 'node:crypto'
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import * as z from 'zod'
import { EmbudoError, messageOf } from '../../define/error.ts'
import type { Source } from './source-file.ts'

/**
 * How far the sending of a file has come, kept beside it: written each time events have their answer, so that
 * the same command goes on from there after any kind of end.
 */
export interface SendingState extends z.output<typeof stateSchema> {}

const stateSchema = z.object({
  format: z.literal('embudo-sending-1'),
  size: z.int(),
  head: z.string(),
  tail: z.string(),
  /** Where to, and with what options: what was sent elsewhere or read otherwise is another matter. */
  to: z.string(),
  as: z.string(),
  /** Events that have their answer, from the first one on. */
  done: z.int(),
  /** The line of the last of them. */
  line: z.int(),
  accepted: z.int(),
  rejected: z.int(),
  rejects: z.string(),
  rejectsBytes: z.int(),
  /** Of these bytes, as they were written: somebody may have mended them since. */
  rejectsDigest: z.string().default(''),
  /** Of --new-ids: what was under way at a stop goes again with the ids that it had. */
  seed: z.string().optional(),
  finishedAt: z.string().nullable(),
})

export const statePath = (file: string): string => `${file}.sending.json`

/**
 * Undefined where there is none. Throws `file_unreadable` where there is one that says nothing: to take it for
 * "nothing was sent" could append everything a second time.
 */
export const readState = (file: string): SendingState | undefined => {
  const path = statePath(file)
  try {
    return stateSchema.parse(JSON.parse(readFileSync(path, 'utf8')))
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined
    const why = cause instanceof z.ZodError ? 'it is of another form' : messageOf(cause)
    throw new EmbudoError(
      'file_unreadable',
      `${path} should say how far ${file} was sent, and cannot be read: ${why}. --from-start sends the file from its beginning, with the same ids`,
      { cause },
    )
  }
}

/**
 * All or nothing, also when the power fails: it is on the disk before it takes the place of the one before.
 * A disk is waited for once an answer, of thousands of events mostly: measured 0.1 to 3 ms.
 * Throws where the folder is read-only.
 */
export const writeState = (file: string, state: SendingState): void => {
  const path = statePath(file)
  const next = openSync(`${path}.new`, 'w')
  try {
    writeFileSync(next, JSON.stringify(state))
    fsyncSync(next)
  } finally {
    closeSync(next)
  }
  renameSync(`${path}.new`, path)
}

/** What a file is told by: cheap for any size. `upTo`: as if it ended there. */
export const identityOf = async (
  { path, bytes }: Source,
  upTo = bytes ?? 0,
): Promise<Pick<SendingState, 'size' | 'head' | 'tail'>> => {
  await using file = await open(path)
  const digestAt = async (from: number, length: number): Promise<string> => {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, from)
    return createHash('sha256').update(buffer.subarray(0, bytesRead)).digest('hex')
  }
  const length = Math.min(edgeBytes, upTo)
  return { size: upTo, head: await digestAt(0, length), tail: await digestAt(upTo - length, length) }
}

const edgeBytes = 64 * 1024

export type Standing =
  | { readonly is: 'new' }
  | { readonly is: 'begun' | 'grown' | 'finished'; readonly state: SendingState }

/** Whether this file was sent before, to the same place and in the same way. `canGrow`: lines are only added. */
export const standingOf = async (
  source: Source,
  { to, as, canGrow }: { readonly to: string; readonly as: string; readonly canGrow: boolean },
): Promise<Standing> => {
  const state = readState(source.path)
  const size = source.bytes ?? 0
  if (state === undefined || state.to !== to || state.as !== as || state.size > size) return { is: 'new' }
  if (state.size < size && !canGrow) return { is: 'new' }
  const { head, tail } = await identityOf(source, state.size)
  if (head !== state.head || tail !== state.tail) return { is: 'new' }
  if (state.size < size) return (await endsLine(source, state.size)) ? { is: 'grown', state } : { is: 'new' }
  return { is: state.finishedAt === null ? 'begun' : 'finished', state }
}

/** Half a line that was sent as the last one is another line now. */
const endsLine = async ({ path }: Source, at: number): Promise<boolean> => {
  if (at === 0) return true
  await using file = await open(path)
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, at - 1)
  return buffer[0] === 10
}
