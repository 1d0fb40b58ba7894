import { closeSync, openSync, writeSync } from 'node:fs'
import type { DemoEvent } from './event.ts'

/**
 * Every event that the server said it has, one JSON object a line, written before the next batch is sent: what
 * stands in it must be in the log.
 */
export class Ledger implements Disposable {
  readonly #file: number

  constructor(path: string) {
    this.#file = openSync(path, 'w')
  }

  add(events: readonly DemoEvent[]): void {
    const lines = events.map(({ id, source, type, time, data }) => {
      const { leadId, userId, enrollmentId } = data as {
        leadId?: string
        userId?: string
        enrollmentId?: string
      }
      return `${JSON.stringify({ id, source, type, time, leadId, userId, enrollmentId })}\n`
    })
    writeSync(this.#file, lines.join(''))
  }

  [Symbol.dispose](): void {
    closeSync(this.#file)
  }
}
