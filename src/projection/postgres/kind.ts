import type { Pool } from 'pg'
import type { Logger } from 'pino'
import { startConsumer } from '../../consumer/consumer.ts'
import type { Feeds } from '../../consumer/feeds.ts'
import type { Membership } from '../../consumer/membership.ts'
import type { Turns } from '../../consumer/turns.ts'
import type { Corrections } from '../../dead-letter/correction.ts'
import type { Codec } from '../../log/codec.ts'
import type { Log } from '../../log/port.ts'
import type { ObserveBatches } from '../../telemetry/observers.ts'
import type { PostgresProjection } from '../definition.ts'
import type { GenerationKind } from '../generation-kind.ts'
import type { Pace } from '../pace.ts'
import { compareGenerations } from './compare.ts'
import { GroupCommit } from './group-commit.ts'
import { prepareGeneration } from './prepare.ts'
import { type ProjectorParts, project } from './projector.ts'
import { showGeneration } from './switch.ts'
import { tableOf } from './table.ts'

export interface PostgresKindParts {
  readonly log: Log
  readonly feeds: Feeds
  /** Its connections run with synchronous_commit = off: what a crash takes back is read again. */
  readonly pool: Pool
  readonly codec: Codec
  readonly membership: Membership
  readonly logger: Logger
  readonly prefix: string
  readonly batchRecords: number
  readonly cacheRows: number
  readonly corrections: Corrections
  readonly maxPoisonedShare: number
  readonly observe: ObserveBatches
  readonly pace: Pace
}

/** Read models and tallies: a table a generation, and a view of the projection's name over the live one. */
export const postgresKind = (
  projection: PostgresProjection,
  parts: PostgresKindParts,
  turns: Turns,
): GenerationKind => ({
  prepare: (generation, isLive) =>
    prepareGeneration(parts.pool, projection, tableOf(projection, generation), isLive),
  start(generation) {
    const { name, topic } = projection
    const table = tableOf(projection, generation)
    const projector: ProjectorParts = {
      ...{ ...parts, turns, table },
      commits: new GroupCommit(parts.pool, table),
      cacheRows: Math.ceil(parts.cacheRows / topic.partitions),
      observe: (batches) => parts.observe(name, batches),
    }
    const run = project(projection, projector)
    return startConsumer(
      {
        reader: name,
        generation,
        topics: [topic],
        run: (position, batches, signal, stands) =>
          run(position, parts.pace.through(name, generation, batches, signal), signal, stands),
      },
      parts,
    )
  },
  compare: (live, other, signal) => compareGenerations(projection, parts, live, other, signal),
  makeLive: (client, generation) => showGeneration(client, projection, tableOf(projection, generation)),
  async drop(generation) {
    await parts.pool.query(`drop table if exists ${tableOf(projection, generation).name}`)
  },
})
