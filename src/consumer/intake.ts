import type { DistinctBatch } from './distinct.ts'
import type { Turns } from './turns.ts'

export interface IntakeOptions {
  /** Most records that are worked on as one, unless the reader is far behind. */
  readonly maxRecords: number
  /** Whose turn it is to take much at once: few partitions of a process at a time, or memory would not be bounded. */
  readonly turns: Turns
}

export interface Taken {
  readonly batches: readonly DistinctBatch[]
  /** To be called once what was taken is committed, or has failed. */
  readonly done: () => void
}

/** How much more than `maxRecords` is taken at once by those who are further behind than that. */
const bulkFactor = 3

/**
 * Batches that adapt to load: whatever has come in while the last was worked on is the next, at most
 * `maxRecords`. Small and fresh when idle; fetching goes on during the work, and stops while as much waits as may be
 * taken. Who is further behind than `maxRecords` waits for a turn and takes three times as many: what comes of one
 * subject is then written once instead of several times. Ends when the batches do, or when `signal` aborts.
 */
export async function* intake(
  batches: AsyncIterable<DistinctBatch>,
  { maxRecords, turns }: IntakeOptions,
  signal: AbortSignal,
): AsyncGenerator<Taken, void, void> {
  const waiting: DistinctBatch[] = []
  let records = 0
  /** What the log was known to have with the last batch, and how far that came. */
  let end = 0
  let reached = 0
  let finished = false
  let failure: unknown
  let turn: (() => void) | undefined
  const turnsTaken = new Set<() => void>()
  let wakeTaker: () => void = () => {}
  let wakeFiller: () => void = () => {}
  const leaving = new AbortController()

  const isFarBehind = (): boolean => end - reached > maxRecords
  const most = (): number => (turn === undefined ? maxRecords : bulkFactor * maxRecords)
  /** Without a turn there is no hurry. */
  const isFull = (): boolean => records >= (turn === undefined && isFarBehind() ? 1 : most())

  const fill = async (): Promise<void> => {
    try {
      for await (const batch of batches) {
        waiting.push(batch)
        records += sizeOf(batch)
        end = batch.highWatermark
        reached = batch.last.offset + 1
        wakeTaker()
        while (isFull() && !leaving.signal.aborted) await new Promise<void>((wake) => (wakeFiller = wake))
        if (leaving.signal.aborted) break
      }
    } catch (error) {
      failure = error
    } finally {
      finished = true
      wakeTaker()
    }
  }

  /** Until something waits, and then while more is on its way. */
  const gather = async (): Promise<void> => {
    for (let isPatient = true; !finished && !signal.aborted; ) {
      if (waiting.length > 0 && (reached >= end || records >= most() || !isPatient)) return
      if (waiting.length > 0 && turn === undefined && isFarBehind()) {
        turn = await turns.take(signal)
        if (turn !== undefined) turnsTaken.add(turn)
        wakeFiller()
        continue
      }
      const { promise, resolve } = Promise.withResolvers<void>()
      wakeTaker = resolve
      const timer = waiting.length === 0 ? undefined : setTimeout(resolve, patienceMs)
      const held = waiting.length
      await promise
      clearTimeout(timer)
      isPatient = waiting.length > held
    }
  }

  const take = (): DistinctBatch[] => {
    const taken: DistinctBatch[] = []
    let count = 0
    while (waiting.length > 0 && (count === 0 || count + sizeOf(waiting[0]!) <= most())) {
      const batch = waiting.shift()!
      taken.push(batch)
      count += sizeOf(batch)
    }
    records -= count
    return taken
  }

  void fill()
  const wake = () => wakeTaker()
  signal.addEventListener('abort', wake)
  try {
    while (true) {
      await gather()
      if (waiting.length === 0 || signal.aborted) break
      const taken = take()
      const over = turn
      turn = undefined
      wakeFiller()
      yield {
        batches: taken,
        done: () => {
          if (over === undefined) return
          over()
          turnsTaken.delete(over)
        },
      }
    }
    if (failure !== undefined && !signal.aborted) throw failure
  } finally {
    signal.removeEventListener('abort', wake)
    leaving.abort()
    wakeFiller()
    for (const over of turnsTaken) over()
  }
}

/** The last offsets of a partition may hold no records: the marker of a transaction is none. */
const patienceMs = 100

/** Duplicates count: a batch of nothing else holds its bytes too. */
const sizeOf = ({ records, duplicates }: DistinctBatch): number => records.length + duplicates
