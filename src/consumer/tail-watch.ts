import { setTimeout as delay } from 'node:timers/promises'
import type { Pool } from 'pg'
import { type Position, positionMoved, readPositions } from './positions.ts'

/** A partition that is being read. */
export interface Watched {
  /** Where its reader stands by its own knowledge; undefined until it has said so. */
  readonly stands: Position | undefined
  /** Has it taken over again. */
  interrupt(why: Error): void
}

/**
 * Positions are committed without waiting for Postgres's disk: a crash takes back the last of them with their rows, and
 * a fail-over perhaps more. Whoever has a next step to do finds out by it; whoever has nothing to do until the next
 * event comes would show a read model that lacks the last ones. Here it is looked for all the time, by one query for
 * all partitions of a reader.
 */
export const watchTail = (
  pool: Pool,
  reader: string,
  generation: number,
  running: () => Iterable<Watched>,
  everyMs = 2_000,
): AsyncDisposable => {
  const stopping = new AbortController()
  const { signal } = stopping

  const look = async (): Promise<void> => {
    // As they stood before the question: what moves meanwhile is ahead of the answer, and nothing is lost.
    const before = [...running()].flatMap((of) =>
      of.stands === undefined ? [] : [{ of, stands: of.stands }],
    )
    if (before.length === 0) return
    const stored = new Map(
      (await readPositions(pool, reader, generation)).map((position) => [placeOf(position), position]),
    )
    for (const { of, stands } of before) {
      const found = stored.get(placeOf(stands))
      if (found !== undefined && found.nextOffset < stands.nextOffset) of.interrupt(positionMoved(stands))
    }
  }

  const watching = (async () => {
    while (!signal.aborted) {
      await delay(everyMs, undefined, { signal }).catch(() => {})
      // Where Postgres is away, the next look will tell.
      if (!signal.aborted) await look().catch(() => {})
    }
  })()

  return {
    async [Symbol.asyncDispose]() {
      stopping.abort()
      await watching
    },
  }
}

const placeOf = ({ topic, partition }: Position): string => `${topic}:${partition}`
