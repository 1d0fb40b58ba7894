import { setImmediate as others } from 'node:timers/promises'
import type { Pool } from 'pg'
import type { Position } from '../../consumer/positions.ts'
import { isRefusal } from './poison.ts'
import type { Table } from './table.ts'
import { fewRows, sizeOf, type Write, writeOne, writeTogether } from './write.ts'

interface Waiting {
  readonly write: Write
  readonly resolve: (position: Position | Promise<Position>) => void
  readonly reject: (error: unknown) => void
}

/**
 * Small batches of a table's partitions are written together: those that come while others are being written make
 * the next statement. At the end of the log, where each partition has a few events at a time, that is a transaction
 * for all of them in place of one each. Large ones are written by themselves.
 */
export class GroupCommit {
  readonly #pool: Pool
  readonly #table: Table
  #waiting: Waiting[] = []
  #isWriting = false

  constructor(pool: Pool, table: Table) {
    this.#pool = pool
    this.#table = table
  }

  /** Throws `position_moved` (retriable) where this process no longer owns the partition. */
  write(write: Write): Promise<Position> {
    if (sizeOf(write) > fewRows) return this.#alone(write)
    return new Promise((resolve, reject) => {
      this.#waiting.push({ write, resolve, reject })
      if (!this.#isWriting) void this.#writeWaiting()
    })
  }

  async #writeWaiting(): Promise<void> {
    this.#isWriting = true
    // What was fetched together is folded in one turn.
    await others()
    while (this.#waiting.length > 0) {
      const group = this.#waiting
      this.#waiting = []
      await this.#writeGroup(group)
    }
    this.#isWriting = false
  }

  async #writeGroup(group: readonly Waiting[]): Promise<void> {
    try {
      const writes = group.map(({ write }) => write)
      const positions = await writeTogether(this.#pool, this.#table, writes)
      for (const [index, { write, resolve }] of group.entries()) {
        // Whether it has moved or somebody holds it for a moment is seen alone: nobody else waits for that.
        resolve(positions[index] ?? this.#alone(write))
      }
    } catch (error) {
      for (const { write, resolve, reject } of group) {
        // One of them has a row that Postgres does not take. Nothing was written: each finds out whether it is its own.
        if (group.length > 1 && isRefusal(error)) resolve(this.#alone(write))
        else reject(error)
      }
    }
  }

  #alone(write: Write): Promise<Position> {
    return writeOne(this.#pool, this.#table, write)
  }
}
