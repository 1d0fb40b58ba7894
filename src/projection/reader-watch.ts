import type { Pool } from 'pg'
import type { Logger } from 'pino'
import type { Membership } from '../consumer/membership.ts'
import { type Catalog, topicName } from '../define/catalog.ts'
import type { TopicDefinition } from '../define/topic.ts'
import type { Log } from '../log/port.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { appendTimes } from './append-times.ts'
import { completenessConcern, watchCompleteness } from './completeness-watch.ts'
import { type Projection, topicsOf } from './definition.ts'
import { projectionsConcern } from './failures.ts'
import { measureCompleteness, measureProjections } from './metrics.ts'
import {
  type MovingProjection,
  type ShownPosition,
  type ShownProjection,
  type ShownRebuild,
  withMovement,
} from './movement.ts'
import {
  type CountStored,
  type Reader,
  type ReconcileFilter,
  type Reconciliation,
  reconcile,
} from './reconcile.ts'

export interface ReaderWatchParts {
  readonly log: Log
  readonly pool: Pool
  /** Of ClickHouse's rows. */
  readonly countStored: CountStored
  readonly catalog: Catalog
  readonly prefix: string
  readonly projections: readonly Projection[]
  /** Who reads the log besides. */
  readonly sagas: readonly { readonly name: string; readonly topics: readonly TopicDefinition[] }[]
  readonly stalledAfterMs: number
  readonly reconcileEveryMs: number
}

/** Whether everything that reads the log moves, and whether what it read adds up. */
export interface ReaderWatch {
  /** Projections as they are about to be shown, with whether they move: see movement.ts. */
  readonly withMovement: <
    Position extends ShownPosition,
    Rebuild extends ShownRebuild,
    Projection extends ShownProjection<Position, Rebuild>,
  >(
    listed: readonly (Projection & ShownProjection<Position, Rebuild>)[],
  ) => Promise<MovingProjection<Projection, Position, Rebuild>[]>
  /** `filter.topic` with or without the prefix. Throws `unknown_projection`, `unknown_topic`. */
  reconcile(filter: ReconcileFilter): Promise<Reconciliation>
  /** What is amiss, for health: what the last look found, and what cannot go on. */
  readonly concerns: Readonly<Record<'completeness' | 'projections', () => Promise<string | undefined>>>
  /** Looks all the time, in one process for all, and has metrics tell. */
  start(worker: WatchingWorker): AsyncDisposable
}

export interface WatchingWorker {
  readonly membership: Membership
  readonly logger: Logger
  readonly metrics: Pick<Metrics, 'levels'>
  /** Projections as they are shown. */
  readonly list: Parameters<typeof measureProjections>[1]
}

export const readerWatch = (parts: ReaderWatchParts): ReaderWatch => {
  const { log, pool, countStored, prefix, stalledAfterMs, reconcileEveryMs: everyMs } = parts
  const now = () => new Date()
  const reconciling = { log, pool, now, readers: readersOf(parts), countStored }
  const times = appendTimes(log)
  return {
    withMovement: (listed) =>
      withMovement(listed, { pool, stalledAfterMs, appendTimes: times, now: Date.now }),
    reconcile: (filter) => reconcile(reconciling, withPrefix(filter, prefix)),
    concerns: {
      completeness: () => completenessConcern(pool, everyMs),
      projections: () => projectionsConcern(pool),
    },
    start({ metrics, list, ...worker }) {
      const watch = watchCompleteness({ ...reconciling, ...worker, everyMs })
      measureProjections(metrics, list, pool)
      measureCompleteness(metrics, watch)
      return watch
    },
  }
}

const readersOf = ({ projections, sagas, catalog, prefix }: ReaderWatchParts): Reader[] => [
  ...projections.map((projection) => ({
    ...{ name: projection.name, kind: projection.kind },
    topics: topicsOf(projection, catalog, prefix),
  })),
  ...sagas.map(({ name, topics }) => ({
    ...{ name, kind: 'saga' as const },
    topics: topics.map((topic) => topicName(prefix, topic)),
  })),
]

/** People leave it out. */
const withPrefix = (filter: ReconcileFilter, prefix: string): ReconcileFilter =>
  filter.topic === undefined || filter.topic.startsWith(prefix)
    ? filter
    : { ...filter, topic: `${prefix}${filter.topic}` }
