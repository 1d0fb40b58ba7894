import type { Advance, Counts } from '../../consumer/positions.ts'
import type { NewLetter } from '../../dead-letter/letters.ts'
import type { Settlement } from '../../dead-letter/retrying.ts'
import type { EventDefinition } from '../../define/catalog.ts'
import type { Rows } from './container.ts'

/** What one partition has collected for its next flush. */
export class Pending {
  readonly rows = new Map<EventDefinition, Rows>()
  readonly parked: NewLetter[] = []
  readonly settled: { applied: string[]; failed: Settlement['failed'][number][] } = {
    applied: [],
    failed: [],
  }
  /** Where the position stands afterwards; undefined where it stays. */
  to: Omit<Advance, 'counts'> | undefined
  readonly counts: { -readonly [Count in keyof Counts]: number } = {
    applied: 0,
    ignored: 0,
    duplicates: 0,
    deadLettered: 0,
    markers: 0,
  }
  #letterBytes = 0

  get isEmpty(): boolean {
    return this.to === undefined && this.settled.applied.length + this.settled.failed.length === 0
  }

  park(letter: NewLetter): void {
    this.parked.push(letter)
    this.#letterBytes += bytesOf(letter)
  }

  size(): { readonly rows: number; readonly bytes: number } {
    let [count, bytes] = [this.parked.length, this.#letterBytes]
    for (const rows of this.rows.values()) {
      count += rows.count
      bytes += rows.byteLength
    }
    return { rows: count, bytes }
  }

  /** Answers how to forget the rows and letters that are added, and what is settled, from here on. */
  bookmark(): () => void {
    const rows = new Map([...this.rows].map(([event, those]) => [event, those.bookmark()] as const))
    const letters = this.parked.length
    const { applied, failed } = this.settled
    const [appliedBefore, failedBefore] = [applied.length, failed.length]
    return () => {
      for (const [event, those] of this.rows) {
        const bookmark = rows.get(event)
        if (bookmark === undefined) this.rows.delete(event)
        else those.backTo(bookmark)
      }
      for (const letter of this.parked.splice(letters)) this.#letterBytes -= bytesOf(letter)
      applied.length = appliedBefore
      failed.length = failedBefore
    }
  }
}

/** Headers and the rest take about as much as this. */
const besidesBytes = 1_024

const bytesOf = ({ key, value }: NewLetter): number =>
  (key?.length ?? 0) + (value?.length ?? 0) + besidesBytes
