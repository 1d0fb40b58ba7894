import { setTimeout as delay } from 'node:timers/promises'
import type { DistinctBatch } from '../consumer/distinct.ts'

/** How many records a second each generation of each projection may be fed in this process. */
export interface Pace {
  /** Takes effect on what is waiting already; null: as fast as it goes. */
  limit(reader: string, generation: number, perSecond: number | null): void
  /** The same batches, each held back until those before it, of all the generation's partitions, are paid for. */
  through(
    reader: string,
    generation: number,
    batches: AsyncIterable<DistinctBatch>,
    signal: AbortSignal,
  ): AsyncGenerator<DistinctBatch, void, void>
}

/** A new limit is looked for this often. */
const lookMs = 200

export const pace = (nowMs: () => number = () => performance.now()): Pace => {
  const limits = new Map<string, Limit>()
  return {
    limit(reader, generation, perSecond) {
      const key = `${reader}/${generation}`
      if (perSecond === null) limits.delete(key)
      else
        limits.set(key, { perSecond, lastMs: limits.get(key)?.lastMs ?? 0, last: limits.get(key)?.last ?? 0 })
    },
    async *through(reader, generation, batches, signal) {
      for await (const batch of batches) {
        for (;;) {
          const limit = limits.get(`${reader}/${generation}`)
          if (limit === undefined || signal.aborted) break
          const waitMs = limit.lastMs + (1_000 * limit.last) / limit.perSecond - nowMs()
          if (waitMs <= 0) {
            limit.lastMs = nowMs()
            limit.last = batch.records.length + batch.duplicates
            break
          }
          await delay(Math.min(waitMs, lookMs), undefined, { signal }).catch(() => {})
        }
        if (signal.aborted) return
        yield batch
      }
    },
  }
}

interface Limit {
  readonly perSecond: number
  /** When the last batch was let through, and how many records it had. */
  lastMs: number
  last: number
}
