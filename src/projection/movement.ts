import type { Pool } from 'pg'
import type { AppendTimes } from './append-times.ts'
import { isStalled, type Movement, oldestUnappliedSeconds } from './stalled.ts'

export interface MovementParts {
  readonly pool: Pick<Pool, 'query'>
  readonly appendTimes: AppendTimes
  readonly stalledAfterMs: number
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

export interface ShownPosition {
  readonly topic: string
  readonly partition: number
  readonly nextOffset: number
  readonly lag: number
  readonly state: string
}

export interface ShownProjection<Position> {
  readonly name: string
  readonly state: string
  readonly positions: readonly Position[]
}

/** A projection, or one of its positions, with how it moves. */
type Moving<Shown extends { readonly state: string }> = Omit<Shown, 'state'> & {
  readonly state: Shown['state'] | 'stalled'
  /** How long the first record that is not applied has waited; null where none waits. */
  readonly oldestUnappliedSeconds: number | null
}

/**
 * Tells, of projections as they are about to be shown, which of their live positions stand still though there is
 * something to apply, and how old that is. What has failed says so, and why, and stays as it is.
 */
export const withMovement = async <
  Position extends ShownPosition,
  Projection extends ShownProjection<Position>,
>(
  projections: readonly (Projection & ShownProjection<Position>)[],
  parts: MovementParts,
): Promise<
  (Omit<Moving<Projection>, 'positions'> & { readonly positions: readonly Moving<Position>[] })[]
> => {
  const movementOf = await movements(projections, parts)
  return projections.map((projection) => {
    const positions = projection.positions.map((position) => {
      const movement = movementOf(projection.name, position)
      const stalled = position.state !== 'failed' && isStalled(movement, parts.stalledAfterMs)
      return {
        ...position,
        state: stalled ? ('stalled' as const) : position.state,
        oldestUnappliedSeconds: oldestUnappliedSeconds(movement),
      }
    })
    const seconds = positions.flatMap((position) => position.oldestUnappliedSeconds ?? [])
    const stalled = projection.state !== 'failed' && positions.some(({ state }) => state === 'stalled')
    return {
      ...projection,
      state: stalled ? 'stalled' : projection.state,
      oldestUnappliedSeconds: seconds.length === 0 ? null : Math.max(...seconds),
      positions,
    }
  })
}

const movements = async (
  projections: readonly ShownProjection<ShownPosition>[],
  { pool, appendTimes, now }: MovementParts,
): Promise<(projection: string, position: ShownPosition) => Movement> => {
  const stored = await storedMovements(pool)
  const behind = projections.flatMap(({ name, positions }) =>
    positions
      .filter(({ lag }) => lag > 0)
      .map(({ topic, partition, nextOffset }) => ({ reader: name, topic, partition, offset: nextOffset })),
  )
  const times = await appendTimes(behind)
  const nowMs = now()
  const ages = new Map(
    behind.map((place, index) => [
      keyOf(place),
      times[index] === undefined ? undefined : nowMs - times[index],
    ]),
  )
  return (projection, { topic, partition, lag }) => {
    const key = keyOf({ reader: projection, topic, partition })
    return { ...(stored.get(key) ?? neverMoved), pending: lag, waitsForMs: ages.get(key) }
  }
}

type StoredMovement = Pick<Movement, 'standsForMs' | 'isOwned' | 'isPaused'>

const neverMoved: StoredMovement = { standsForMs: undefined, isOwned: false, isPaused: false }

/** As `ttlMs` in consumer/membership.ts: who has not been seen for as long is dead. */
const deadAfterMs = 8_000

/** Ages by Postgres's clock, which also wrote the times. */
const storedMovements = async (pool: MovementParts['pool']): Promise<Map<string, StoredMovement>> => {
  const { rows } = await pool.query<{
    reader: string
    topic: string
    partition: number
    standsForMs: string
    isOwned: boolean
    isPaused: boolean
  }>(
    `select p.reader, p.topic, p.partition, extract(epoch from now() - p.moved_at) * 1000 as "standsForMs",
       w.id is not null as "isOwned", coalesce(g.paused, false) as "isPaused"
     from embudo.positions p
     left join embudo.generations g on g.projection = p.reader and g.generation = p.generation
     left join embudo.partition_status s on s.reader = p.reader and s.generation = p.generation
       and s.topic = p.topic and s.partition = p.partition
     left join embudo.workers w on w.id = s.worker and w.seen_at >= now() - $1 * interval '1 millisecond'
     where coalesce(g.state, 'live') = 'live'`,
    [deadAfterMs],
  )
  return new Map(
    rows.map(({ standsForMs, isOwned, isPaused, ...of }) => [
      keyOf(of),
      { standsForMs: Number(standsForMs), isOwned, isPaused },
    ]),
  )
}

const keyOf = ({
  reader,
  topic,
  partition,
}: {
  readonly reader: string
  readonly topic: string
  readonly partition: number
}): string => `${reader}/${topic}/${partition}`
