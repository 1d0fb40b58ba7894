import { closeSync, openSync, writeSync } from 'node:fs'
import type { RefusedEvent } from './answer.ts'

export interface Rejected extends RefusedEvent {
  readonly file: string
  readonly number: number
  readonly original: string
}

/** The file of what was not taken, one JSON object a line with the reason beside the event. Made when there is one. */
export class RejectsFile implements Disposable {
  readonly path: string
  #file: number | undefined
  #count = 0

  constructor(path: string) {
    this.path = path
  }

  get count(): number {
    return this.#count
  }

  add({ file, number, original, code, field, detail }: Rejected): void {
    this.#file ??= openSync(this.path, 'w')
    const event = parsed(original)
    const line = {
      code,
      field,
      detail,
      file,
      line: number,
      ...(event === undefined ? { text: original } : { event }),
    }
    writeSync(this.#file, `${JSON.stringify(line)}\n`)
    this.#count += 1
  }

  [Symbol.dispose](): void {
    if (this.#file !== undefined) closeSync(this.#file)
    this.#file = undefined
  }
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
