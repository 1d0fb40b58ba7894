import { createHash } from 'node:crypto'
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  openSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs'
import { EmbudoError } from '../../define/error.ts'
import { parsedJson } from '../parsed-json.ts'
import type { RefusedEvent } from './answer.ts'
import type { EventLine } from './event-line.ts'
import { membersOf } from './members.ts'
import type { TextLine } from './text-lines.ts'
import { asWritten, type WrittenRejects } from './written-rejects.ts'

/**
 * The file of what was not taken: one JSON object a line, the reason beside the event as it was sent, and of CSV
 * the row. Made when there is one. It can be mended and sent itself.
 */
export class RejectsFile implements Disposable {
  readonly path: string
  #file: number | undefined
  #count = 0
  #earlier = 0
  #bytes = 0
  #digest = createHash('sha256')
  #isSynced = true

  constructor(path: string) {
    this.path = path
  }

  /**
   * Goes on behind the first bytes of the file of a run that is taken up again; undefined where they are not
   * those that the run wrote, or what is behind them is not of events that are sent once more: somebody mends
   * them, or keeps others there, and nothing of that may be cut off.
   */
  static takenUp(written: WrittenRejects): RejectsFile | undefined {
    const { path, bytes, count } = written
    const rejects = new RejectsFile(path)
    if (!existsSync(path)) return rejects
    const found = asWritten(written)
    if (found === undefined) return undefined
    if (statSync(path).size > bytes) truncateSync(path, bytes)
    rejects.#file = openSync(path, 'a')
    rejects.#earlier = count
    rejects.#bytes = bytes
    rejects.#digest = found
    return rejects
  }

  /** Of the runs before this one. */
  get earlier(): number {
    return this.#earlier
  }

  get count(): number {
    return this.#count
  }

  /** That were written, by this run and by the one that it takes up. */
  get bytes(): number {
    return this.#bytes
  }

  get digest(): string {
    return this.#digest.copy().digest('hex')
  }

  /** Returns once what was added is on the disk. */
  sync(): void {
    if (this.#file !== undefined && !this.#isSynced) fsyncSync(this.#file)
    this.#isSynced = true
  }

  add(file: string, { number, text, row }: EventLine, { code, field, detail }: RefusedEvent): void {
    this.#file ??= openSync(this.path, 'wx')
    this.#follow(this.#file)
    const reason = JSON.stringify({ code, field, detail, file, line: number }).slice(0, -1)
    const cells = row === undefined ? '' : `,"row":${JSON.stringify(cellsByColumn(row))}`
    // The event is not put together anew: what was sent is what is shown.
    const event = isObject(text) ? `,"event":${text}` : `,"text":${JSON.stringify(text)}`
    const line = Buffer.from(`${reason}${cells}${event}}\n`)
    for (let from = 0; from < line.length; ) from += writeSync(this.#file, line, from)
    this.#bytes += line.length
    this.#digest.update(line)
    this.#isSynced = false
    this.#count += 1
  }

  /** An editor that saves puts another file in the place of the one that is open here, which nobody would find. */
  #follow(open: number): void {
    const there = statSync(this.path, { throwIfNoEntry: false })
    if (there?.ino === fstatSync(open).ino) return
    this.#file = openSync(this.path, 'a')
    closeSync(open)
  }

  [Symbol.dispose](): void {
    if (this.#file !== undefined) closeSync(this.#file)
    this.#file = undefined
  }
}

/** A name that is free: rejects that somebody may still want to mend are never written over. */
export const rejectsPath = (first: string, given: string | undefined): string => {
  if (given !== undefined) {
    if (!existsSync(given)) return given
    throw new EmbudoError(
      'wrong_use',
      `${given} is there already: name another file with --rejects, or move it away`,
    )
  }
  for (let n = 1; ; n++) {
    const path = `${first}.rejects${n === 1 ? '' : `-${n}`}.ndjson`
    if (!existsSync(path)) return path
  }
}

/** True for the first line of a file that `RejectsFile` wrote. */
export const isReject = (text: string): boolean => {
  const line = parsedJson(text)
  return (
    typeof line === 'object' &&
    line !== null &&
    'code' in line &&
    'detail' in line &&
    'file' in line &&
    ('event' in line || 'text' in line)
  )
}

/**
 * The event in a line of a file of rejects, to be sent again, as it is written there: read and put together anew, it
 * could lose just what it was refused for. Where nothing of it was kept, it stays refused.
 */
export const rejectedEvent = (line: TextLine): TextLine => {
  const reject = parsedJson(line.text)
  if (typeof reject !== 'object' || reject === null || Array.isArray(reject)) return line
  const event = membersOf(line.text).findLast(({ key }) => key === 'event')
  if (event !== undefined) return { ...line, text: line.text.slice(event.from, event.to) }
  const { text, ...why } = reject as Readonly<Record<string, unknown>>
  if (typeof text !== 'string') return line
  if (text.trim() === '') return { ...line, text: '', refused: line.refused ?? refusedAs(why) }
  return { ...line, text: text.replaceAll(/[\r\n]+/g, ' ') }
}

const refusedAs = ({ code, field, detail }: Readonly<Record<string, unknown>>): RefusedEvent => ({
  code: typeof code === 'string' ? code : 'malformed_json',
  field: typeof field === 'string' ? field : '',
  detail: typeof detail === 'string' ? detail : 'expected an event; nothing of it was kept',
})

const cellsByColumn = ({ header, cells }: NonNullable<EventLine['row']>): Record<string, string> =>
  Object.fromEntries(cells.map((cell, index) => [header[index] ?? `column ${index + 1}`, cell]))

const isObject = (text: string): boolean => {
  const value = parsedJson(text)
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
