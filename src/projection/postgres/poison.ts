import { EmbudoError, messageOf } from '../../define/error.ts'
import type { Read } from './read-events.ts'

/** Whether Postgres refuses the rows themselves, and would again: no connection, lock or disk is the matter. */
export const isRefusal = (error: unknown): boolean => {
  const code = (error as { code?: unknown } | null)?.code
  // https://www.postgresql.org/docs/current/errcodes-appendix.html: data exceptions, constraints, limits.
  return typeof code === 'string' && /^(22|23|54)...$/.test(code)
}

export interface Search {
  /** Tries to write what some events come to, without those that were found before, and takes it back. */
  readonly write: (some: readonly Read[], refused: ReadonlyMap<number, unknown>) => Promise<void>
  /** Told of each event that is found, and how many there are since the one before; what it throws ends the search. */
  readonly onFound: (events: number) => void
  readonly signal: AbortSignal
}

/**
 * Which events of a batch make a row that Postgres refuses, by offset, and why. The first is found by halving: with
 * it, and not without it, the events up to there are refused. The next ones are looked for near it first: where there
 * is one there are often many.
 */
export const findRefused = async (
  reads: readonly Read[],
  { write, onFound, signal }: Search,
): Promise<Map<number, unknown>> => {
  const refused = new Map<number, unknown>()
  const refusalOf = async (count: number): Promise<unknown> => {
    signal.throwIfAborted()
    try {
      await write(reads.slice(0, count), refused)
      return undefined
    } catch (error) {
      if (!isRefusal(error)) throw error
      return error
    }
  }
  /** Events that are known to be written fine. */
  let good = 0
  for (
    let refusal = await refusalOf(reads.length);
    refusal !== undefined;
    refusal = await refusalOf(reads.length)
  ) {
    let bad = reads.length
    const from = good
    for (let step = refused.size === 0 ? reads.length : 1; bad - good > 1; step *= 2) {
      const middle = Math.min(good + step, (good + bad) >>> 1)
      const error = await refusalOf(middle)
      if (error === undefined) good = middle
      else {
        bad = middle
        refusal = error
      }
    }
    const { record } = reads[bad - 1]!
    // A row may be refused without any of these: that is no event's fault.
    if (refused.has(record.offset)) throw refusal
    refused.set(record.offset, refusedRow(refusal))
    onFound(bad - from)
    good = bad
  }
  return refused
}

const refusedRow = (cause: unknown): EmbudoError =>
  new EmbudoError('row_refused', `Postgres refuses the row: ${messageOf(cause)}`, { cause })
