import type { ClickHouseClient } from '@clickhouse/client'
import type { Pool } from 'pg'
import type { Logger } from 'pino'
import { startConsumer } from '../../consumer/consumer.ts'
import type { Feeds } from '../../consumer/feeds.ts'
import type { Membership } from '../../consumer/membership.ts'
import type { Corrections } from '../../dead-letter/correction.ts'
import { type Catalog, sendable, topicName } from '../../define/catalog.ts'
import type { EventTablesDefinition } from '../../define/event-tables.ts'
import type { Codec } from '../../log/codec.ts'
import type { Log } from '../../log/port.ts'
import type { ObserveBatches } from '../../telemetry/observers.ts'
import type { GenerationKind } from '../generation-kind.ts'
import type { Pace } from '../pace.ts'
import type { Cluster } from './cluster.ts'
import { compareEventTables } from './compare.ts'
import { liveGeneration } from './live-tables.ts'
import { keepNames, pointNames } from './names.ts'
import { EventSink, type SinkLimits } from './sink.ts'
import { dropEventTables, ensureEventTables } from './tables.ts'

/** Beside what every kind of projection is fed with. */
export interface EventTablesKindParts {
  /** Commits synchronously: epochs are raised past what the fence knows. */
  readonly pool: Pool
  readonly catalog: Catalog
  readonly clickhouse: ClickHouseClient
  readonly cluster?: Cluster | undefined
  readonly now?: () => number
  readonly newId?: () => string
  readonly limits?: Partial<SinkLimits>
}

export interface EventTablesParts extends EventTablesKindParts {
  readonly prefix: string
  readonly codec: Codec
  readonly log: Log
  readonly feeds: Feeds
  readonly membership: Membership
  readonly logger: Logger
  readonly corrections: Corrections
  readonly maxPoisonedShare: number
  readonly pace: Pace
  readonly observe?: ObserveBatches
}

/** The tables of events in ClickHouse: one set for each generation, each fed from every topic that others send to. */
export const eventTablesKind = (
  { name: reader }: EventTablesDefinition,
  parts: EventTablesParts,
): GenerationKind => {
  const { catalog, pool, clickhouse, cluster } = parts
  return {
    async prepare(generation, isLive) {
      await forgetInternal(parts, reader, generation)
      await ensureEventTables(clickhouse, catalog, generation, cluster)
      if (isLive) await pointNames(parts, generation)
    },

    async start(generation) {
      await using stack = new AsyncDisposableStack()
      stack.use(keepNames(parts, reader, generation))
      const sink = stack.use(new EventSink(parts))
      const consumer = stack.use(
        await startConsumer(
          {
            ...{ reader, generation, topics: sendable(catalog).topics },
            run: (position, batches, signal) =>
              sink.run(position, parts.pace.through(reader, generation, batches, signal), signal),
          },
          parts,
        ),
      )
      const started = stack.move()
      return { ...consumer, [Symbol.asyncDispose]: () => started.disposeAsync() }
    },

    compare: (live, other, signal) => compareEventTables(parts, { reader, live, other }, signal),

    /** The row that the caller changes says what is read; the names follow it once that is committed. */
    async makeLive() {},

    async drop(generation) {
      const live = await liveGeneration(pool, reader)
      if (live !== undefined) await pointNames(parts, live)
      await dropEventTables(clickhouse, catalog, generation, cluster)
    },
  }
}

/** Positions in topics that are embudo's own: a generation that reads none of them would seem to be behind for ever. */
const forgetInternal = async (
  { pool, catalog, prefix }: EventTablesParts,
  reader: string,
  generation: number,
): Promise<void> => {
  const internal = catalog.topics.filter((topic) => topic.isInternal === true)
  await pool.query(
    'delete from embudo.positions where reader = $1 and generation = $2 and topic = any($3::text[])',
    [reader, generation, internal.map((topic) => topicName(prefix, topic))],
  )
}
