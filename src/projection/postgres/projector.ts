import type { Pool } from 'pg'
import { advanceBehind, type DistinctBatch } from '../../consumer/distinct.ts'
import { intake } from '../../consumer/intake.ts'
import type { Position } from '../../consumer/positions.ts'
import type { Turns } from '../../consumer/turns.ts'
import type { Corrections } from '../../dead-letter/correction.ts'
import { PoisonShare } from '../../dead-letter/poison-share.ts'
import type { Codec } from '../../log/codec.ts'
import { rolledBack } from '../../postgres/transaction.ts'
import type { PostgresProjection } from '../definition.ts'
import { type Fold, type Folded, foldModel, foldTally, type Knowledge } from './fold-batch.ts'
import type { GroupCommit } from './group-commit.ts'
import { parkedSubjects } from './parked.ts'
import { findRefused, isRefusal } from './poison.ts'
import { type Read, readEvents } from './read-events.ts'
import { RowCache } from './row-cache.ts'
import type { Table } from './table.ts'
import { writeOne } from './write.ts'

export interface ProjectorParts {
  readonly pool: Pool
  readonly codec: Codec
  readonly table: Table
  /** Of all partitions of the table that the process projects. */
  readonly commits: GroupCommit
  readonly batchRecords: number
  /** Of all partitions that the process projects into Postgres. */
  readonly turns: Turns
  readonly cacheRows: number
  readonly corrections: Corrections
  /** Of the last events: beyond it the partition stops instead of parking more. */
  readonly maxPoisonedShare: number
  /** Told of each batch as it is taken; what it returns is called once that is committed or has failed. */
  readonly observe: (batches: readonly DistinctBatch[]) => (error?: unknown) => void
}

/**
 * One partition of a read model or tally: batches folded in memory, each written with its position in one
 * transaction. A batch is folded while the one before it is written; writes stay in order. What can never be
 * applied is parked in the same transaction (src/dead-letter): where the fold throws, and where Postgres refuses the
 * row, which is then traced to its event.
 */
export const project =
  (projection: PostgresProjection, parts: ProjectorParts) =>
  async (
    start: Position,
    batches: AsyncIterable<DistinctBatch>,
    signal: AbortSignal,
    stands: (position: Position) => void,
  ): Promise<void> => {
    const reading = { sql: parts.pool, table: parts.table }
    const fold: Fold =
      projection.kind === 'tally' ? foldTally(projection, reading) : foldModel(projection, reading)
    const types = projection.kind === 'tally' ? projection.count : projection.evolve
    const share = new PoisonShare(projection.name, parts.maxPoisonedShare)
    const learnt = async (): Promise<Knowledge> => ({
      cache: new RowCache(parts.cacheRows),
      parked: await parkedSubjects(parts.pool, start),
      beingWritten: 0,
    })
    let known = await learnt()
    const failing = new AbortController()
    const ends = AbortSignal.any([signal, failing.signal])

    const writeWithoutPoison = async (
      taken: readonly DistinctBatch[],
      reads: readonly Read[],
      position: Position,
    ): Promise<Position> => {
      const trial = async (some: readonly Read[], refused: ReadonlyMap<number, unknown>) => {
        const folded = await fold(some, await learnt(), refused)
        return { folded, to: advanceBehind(taken, countsOf(folded)) }
      }
      // By itself: those of a large batch may all be at its beginning, and finding each takes a while.
      const shareSoFar = new PoisonShare(projection.name, parts.maxPoisonedShare)
      const refused = await findRefused(reads, {
        write: async (some, before) => {
          const { folded, to } = await trial(some, before)
          await rolledBack(parts.pool, (client) => writeOne(client, parts.table, { position, to, ...folded }))
        },
        onFound: (events) => {
          shareSoFar.note(events, 1)
          share.note(0, 1)
        },
        signal: ends,
      })
      const { folded, to } = await trial(reads, refused)
      return await writeOne(parts.pool, parts.table, { position, to, ...folded })
    }

    let writing: Promise<Position> = Promise.resolve(start)
    try {
      const limits = { maxRecords: parts.batchRecords, turns: parts.turns }
      for await (const { batches: taken, done } of intake(batches, limits, ends)) {
        const observed = parts.observe(taken)
        const reads = await readEvents(taken, start, { ...parts, types })
        let knowing = known
        let folded = await fold(reads, knowing, none)
        const position = await writing
        if (knowing !== known) {
          // The batch before had poison in it: what was known of its rows is no longer so.
          knowing = known
          folded = await fold(reads, knowing, none)
        }
        share.note(reads.length, folded.poisoned)
        const to = advanceBehind(taken, countsOf(folded))
        writing = parts.commits.write({ position, to, ...folded }).catch(async (error: unknown) => {
          if (!isRefusal(error)) throw error
          const after = await writeWithoutPoison(taken, reads, position)
          known = await learnt()
          return after
        })
        // It is awaited with the next batch; a failure must not wait for that one to come.
        writing.then(
          (committed) => {
            stands(committed)
            done()
            observed()
          },
          (error: unknown) => {
            done()
            observed(error)
            failing.abort()
          },
        )
      }
    } finally {
      await writing
    }
  }

const none: ReadonlyMap<number, unknown> = new Map()

const countsOf = ({ applied, letters }: Folded) => ({ applied, deadLettered: letters.length })
