import { createHash } from 'node:crypto'
import type { PartitionOf } from '../../consumer/positions.ts'
import { EmbudoError } from '../../define/error.ts'

/** About 8 MB. One that is forgotten before it is parked is found once more. */
const mostRows = 20_000

/**
 * Rows that ClickHouse refuses whatever is sent with them, by their places. By their bytes too: a letter that was
 * edited has the same place, and is another row.
 */
export class RefusedRows {
  readonly #rows = new Map<string, Map<number, Refused>>()
  #count = 0

  note(of: Place, offset: number, payload: Buffer, reason: string): void {
    if (this.#count >= mostRows) this.#forgetOldest()
    const rows = this.#of(of)
    if (!rows.has(offset)) this.#count++
    rows.set(offset, { digest: digestOf(payload), reason })
  }

  /** Asked for once a partition is taken over; what is noted later shows in it. */
  of(of: Place): RefusedHere {
    const rows = this.#of(of)
    return {
      check(offset, bytes, from) {
        const refused = rows.size === 0 ? undefined : rows.get(offset)
        if (refused === undefined || refused.digest !== digestOf(bytes.subarray(from))) return
        throw new EmbudoError('row_refused', `ClickHouse refuses it: ${refused.reason}`)
      },
    }
  }

  #of({ topic, partition }: Place): Map<number, Refused> {
    const key = `${topic}:${partition}`
    const known = this.#rows.get(key)
    if (known !== undefined) return known
    const made = new Map<number, Refused>()
    this.#rows.set(key, made)
    return made
  }

  #forgetOldest(): void {
    for (const rows of this.#rows.values()) {
      const [oldest] = rows.keys()
      if (oldest === undefined) continue
      rows.delete(oldest)
      this.#count--
      return
    }
  }
}

/** Of one partition. */
export interface RefusedHere {
  /** Throws `row_refused` where the payload at that offset, `bytes` from `from` on, is one of them. */
  check(offset: number, bytes: Buffer, from: number): void
}

type Place = Pick<PartitionOf, 'topic' | 'partition'>

interface Refused {
  readonly digest: string
  readonly reason: string
}

const digestOf = (payload: Buffer): string => createHash('sha256').update(payload).digest('base64')
