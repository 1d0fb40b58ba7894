import { createHash, type Hash } from 'node:crypto'
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { parsedJson } from '../parsed-json.ts'

/** What a run had written into its file of rejects when its state was kept. */
export interface WrittenRejects {
  readonly path: string
  readonly bytes: number
  /** Of those bytes: SHA-256 in hexadecimal. */
  readonly digest: string
  readonly count: number
  /** How far it was then; what it refused later is sent again. */
  readonly behind: { readonly file: string; readonly line: number }
}

/**
 * The hash of what was written, to be gone on with; undefined where it was changed since, or where something else
 * stands behind it than rejects of events that are sent again.
 */
export const asWritten = ({ path, bytes, digest, behind }: WrittenRejects): Hash | undefined => {
  const file = openSync(path, 'r')
  try {
    const found = hashOfFirst(file, bytes)
    if (found?.copy().digest('hex') !== digest) return undefined
    return areBehind(textBehind(file, bytes), behind) ? found : undefined
  } finally {
    closeSync(file)
  }
}

/** Undefined where the file is shorter. */
const hashOfFirst = (file: number, bytes: number): Hash | undefined => {
  const hash = createHash('sha256')
  const piece = Buffer.alloc(64 * 1024)
  for (let at = 0; at < bytes; ) {
    const read = readSync(file, piece, 0, Math.min(bytes - at, piece.length), at)
    if (read === 0) return undefined
    hash.update(piece.subarray(0, read))
    at += read
  }
  return hash
}

const textBehind = (file: number, from: number): string => {
  const bytes = Buffer.alloc(fstatSync(file).size - from)
  return bytes.subarray(0, readSync(file, bytes, 0, bytes.length, from)).toString('utf8')
}

const areBehind = (text: string, { file, line }: WrittenRejects['behind']): boolean => {
  const lines = text.split('\n')
  return lines.every((each, index) => {
    const reject = parsedJson(each)
    // A process that is killed leaves half a line.
    if (reject === undefined) return index === lines.length - 1
    const place = reject as { file?: unknown; line?: unknown } | null
    return place?.file === file && typeof place.line === 'number' && place.line >= line
  })
}
