import { noFeeds } from '../consumer/feeds.ts'
import { noMembership } from '../consumer/membership.ts'
import { Turns } from '../consumer/turns.ts'
import { type EventTablesKindParts, eventTablesKind } from './clickhouse/event-tables.ts'
import { isInPostgres, type Projection } from './definition.ts'
import type { GenerationKind } from './generation-kind.ts'
import { pace } from './pace.ts'
import { type PostgresKindParts, postgresKind } from './postgres/kind.ts'

/** Without ClickHouse, its tables are of no kind that is looked after. */
export type KindParts = PostgresKindParts & { readonly eventTables?: EventTablesKindParts }

/** How many partitions that are far behind are caught up at a time, each with large batches. */
const bulkPartitions = 2

/** What each projection does with its generations, by its name. */
export const generationKinds = (
  projections: readonly Projection[],
  { eventTables, ...parts }: KindParts,
): ReadonlyMap<string, GenerationKind> => {
  const turns = new Turns(bulkPartitions)
  return new Map(
    projections.flatMap((projection): [string, GenerationKind][] => {
      if (isInPostgres(projection)) return [[projection.name, postgresKind(projection, parts, turns)]]
      return eventTables === undefined
        ? []
        : [[projection.name, eventTablesKind(projection, { ...parts, ...eventTables })]]
    }),
  )
}

/** Of a process in which generations are compared and switched, and none is fed. */
export const feedsNothing: Pick<PostgresKindParts, 'feeds' | 'membership' | 'observe' | 'pace'> = {
  feeds: noFeeds,
  membership: noMembership,
  observe: () => () => {},
  pace: pace(),
}
