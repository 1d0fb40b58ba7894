import { closeSync, existsSync, openSync, statSync, truncateSync, writeSync } from 'node:fs'
import { EmbudoError } from '../../define/error.ts'
import type { RefusedEvent } from './answer.ts'
import type { EventLine } from './event-line.ts'
import type { TextLine } from './text-lines.ts'

/**
 * The file of what was not taken: one JSON object a line, the reason beside the event as it was sent, and of CSV
 * the row. Made when there is one. It can be mended and sent itself.
 */
export class RejectsFile implements Disposable {
  readonly path: string
  #file: number | undefined
  #count = 0
  #earlier = 0

  constructor(path: string) {
    this.path = path
  }

  /** Goes on behind the first bytes of the file of a run that is taken up again. */
  static takenUp(path: string, keepBytes: number, earlier: number): RejectsFile {
    const rejects = new RejectsFile(path)
    if (!existsSync(path)) return rejects
    // Behind that stand rejects of events that are sent once more.
    if (statSync(path).size > keepBytes) truncateSync(path, keepBytes)
    rejects.#file = openSync(path, 'a')
    rejects.#earlier = earlier
    return rejects
  }

  /** Of the runs before this one. */
  get earlier(): number {
    return this.#earlier
  }

  get count(): number {
    return this.#count
  }

  get bytes(): number {
    return this.#file === undefined ? 0 : statSync(this.path).size
  }

  add(file: string, { number, text, row }: EventLine, { code, field, detail }: RefusedEvent): void {
    this.#file ??= openSync(this.path, 'wx')
    const reason = JSON.stringify({ code, field, detail, file, line: number }).slice(0, -1)
    const cells = row === undefined ? '' : `,"row":${JSON.stringify(cellsByColumn(row))}`
    // The event is not put together anew: what was sent is what is shown.
    const event = isObject(text) ? `,"event":${text}` : `,"text":${JSON.stringify(text)}`
    writeSync(this.#file, `${reason}${cells}${event}}\n`)
    this.#count += 1
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
  const line = parsed(text)
  return (
    typeof line === 'object' &&
    line !== null &&
    'code' in line &&
    'detail' in line &&
    'file' in line &&
    ('event' in line || 'text' in line)
  )
}

/** The event in a line of a file of rejects, to be sent again. */
export const rejectedEvent = (line: TextLine): TextLine => {
  const reject = parsed(line.text)
  if (typeof reject !== 'object' || reject === null) return line
  const { event, text } = reject as { event?: unknown; text?: unknown }
  if (event !== undefined) return { ...line, text: JSON.stringify(event) }
  return typeof text === 'string' ? { ...line, text: text.replaceAll(/[\r\n]+/g, ' ') } : line
}

const cellsByColumn = ({ header, cells }: NonNullable<EventLine['row']>): Record<string, string> =>
  Object.fromEntries(cells.map((cell, index) => [header[index] ?? `column ${index + 1}`, cell]))

const isObject = (text: string): boolean => {
  const value = parsed(text)
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
