import { noFeeds } from '../consumer/feeds.ts'
import { noMembership } from '../consumer/membership.ts'
import { isInPostgres, type Projection } from './definition.ts'
import type { GenerationKind } from './generation-kind.ts'
import { pace } from './pace.ts'
import { type PostgresKindParts, postgresKind } from './postgres/kind.ts'

/** What each projection does with its generations, by its name. */
export const generationKinds = (
  projections: readonly Projection[],
  parts: PostgresKindParts,
): ReadonlyMap<string, GenerationKind> =>
  new Map(
    projections
      .filter(isInPostgres)
      .map((projection) => [projection.name, postgresKind(projection, parts)] as const),
  )

/** Of a process in which generations are compared and switched, and none is fed. */
export const feedsNothing: Pick<PostgresKindParts, 'feeds' | 'membership' | 'observe' | 'pace'> = {
  feeds: noFeeds,
  membership: noMembership,
  observe: () => () => {},
  pace: pace(),
}
