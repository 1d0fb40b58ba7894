import type { DistinctBatch } from './distinct.ts'

/**
 * Batches that adapt to load: whatever has come in while the last was worked on is the next, at most
 * `maxRecords`. Small and fresh when idle, large when behind; fetching goes on during the work, and stops
 * while `maxRecords` wait. Ends when the batches do, or when `signal` aborts.
 */
export async function* intake(
  batches: AsyncIterable<DistinctBatch>,
  maxRecords: number,
  signal: AbortSignal,
): AsyncGenerator<readonly DistinctBatch[], void, void> {
  const waiting: DistinctBatch[] = []
  let records = 0
  /** What the log was known to have with the last batch, and how far that came. */
  let end = 0
  let reached = 0
  let finished = false
  let failure: unknown
  let wakeTaker: () => void = () => {}
  let wakeFiller: () => void = () => {}
  const leaving = new AbortController()

  const fill = async (): Promise<void> => {
    try {
      for await (const batch of batches) {
        waiting.push(batch)
        records += sizeOf(batch)
        end = batch.highWatermark
        reached = batch.last.offset + 1
        wakeTaker()
        while (records >= maxRecords && !leaving.signal.aborted)
          await new Promise<void>((wake) => (wakeFiller = wake))
        if (leaving.signal.aborted) break
      }
    } catch (error) {
      failure = error
    } finally {
      finished = true
      wakeTaker()
    }
  }

  void fill()
  const wake = () => wakeTaker()
  signal.addEventListener('abort', wake)
  try {
    while (true) {
      let isPatient = true
      while (
        (waiting.length === 0 || (reached < end && records < maxRecords && isPatient)) &&
        !finished &&
        !signal.aborted
      ) {
        const { promise, resolve } = Promise.withResolvers<void>()
        wakeTaker = resolve
        const timer = waiting.length === 0 ? undefined : setTimeout(resolve, patienceMs)
        const held = waiting.length
        await promise
        clearTimeout(timer)
        isPatient = waiting.length > held
      }
      if (waiting.length === 0 || signal.aborted) break
      const taken: DistinctBatch[] = []
      let count = 0
      while (waiting.length > 0 && (count === 0 || count + sizeOf(waiting[0]!) <= maxRecords)) {
        const batch = waiting.shift()!
        taken.push(batch)
        count += sizeOf(batch)
      }
      records -= count
      wakeFiller()
      yield taken
    }
    if (failure !== undefined && !signal.aborted) throw failure
  } finally {
    signal.removeEventListener('abort', wake)
    leaving.abort()
    wakeFiller()
  }
}

/** The last offsets of a partition may hold no records: the marker of a transaction is none. */
const patienceMs = 100

/** Duplicates count: a batch of nothing else holds its bytes too. */
const sizeOf = ({ records, duplicates }: DistinctBatch): number => records.length + duplicates
