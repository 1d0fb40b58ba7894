import type { Pool } from 'pg'
import type { AppendTimes, Place } from './append-times.ts'
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
  readonly end: number
  readonly lag: number
  readonly state: string
}

export interface ShownRebuild {
  readonly generation: number
  readonly state: string
}

export interface ShownProjection<Position, Rebuild> {
  readonly name: string
  readonly state: string
  /** Of its live generation. */
  readonly positions: readonly Position[]
  readonly rebuild: Rebuild | null
}

type Stallable<Shown extends { readonly state: string }> = Omit<Shown, 'state'> & {
  readonly state: Shown['state'] | 'stalled'
}

interface Age {
  /** How long the first record that is not applied has waited; null where none waits. */
  readonly oldestUnappliedSeconds: number | null
}

export type MovingProjection<
  Projection extends ShownProjection<Position, Rebuild>,
  Position extends ShownPosition,
  Rebuild extends ShownRebuild,
> = Omit<Stallable<Projection>, 'positions' | 'rebuild'> &
  Age & {
    readonly positions: readonly (Stallable<Position> & Age)[]
    readonly rebuild: Stallable<Rebuild> | null
  }

/**
 * Tells, of projections as they are about to be shown, which of their live positions and which rebuilds stand still
 * though there is something to apply, and how old that is. What has failed says so, and why, and stays as it is.
 */
export const withMovement = async <
  Position extends ShownPosition,
  Rebuild extends ShownRebuild,
  Projection extends ShownProjection<Position, Rebuild>,
>(
  projections: readonly (Projection & ShownProjection<Position, Rebuild>)[],
  parts: MovementParts,
): Promise<MovingProjection<Projection, Position, Rebuild>[]> => {
  const known = await readKnown(parts.pool)
  const places = projections.flatMap((projection) => placesOf(projection, known))
  const movementOf = await movements(places, known, parts)
  const stands = (place: StandingAt): boolean => isStalled(movementOf(place), parts.stalledAfterMs)
  return projections.map((projection) => {
    const { name, rebuild } = projection
    const positions = projection.positions.map((position) => {
      const place = livePlace(name, position)
      return {
        ...position,
        state: position.state !== 'failed' && stands(place) ? ('stalled' as const) : position.state,
        oldestUnappliedSeconds: oldestUnappliedSeconds(movementOf(place)),
      }
    })
    const seconds = positions.flatMap((position) => position.oldestUnappliedSeconds ?? [])
    const stalled = projection.state !== 'failed' && positions.some(({ state }) => state === 'stalled')
    const isRebuildStalled =
      rebuild !== null && rebuild.state !== 'failed' && rebuildPlaces(projection, known).some(stands)
    return {
      ...projection,
      state: stalled ? 'stalled' : projection.state,
      oldestUnappliedSeconds: seconds.length === 0 ? null : Math.max(...seconds),
      positions,
      rebuild: rebuild !== null && isRebuildStalled ? { ...rebuild, state: 'stalled' as const } : rebuild,
    }
  })
}

/** Where a generation of a projection stands in a partition, and how much is behind it. */
interface StandingAt extends Place {
  readonly pending: number
}

const placesOf = (projection: ShownProjection<ShownPosition, ShownRebuild>, known: Known): StandingAt[] => [
  ...projection.positions.map((position) => livePlace(projection.name, position)),
  ...rebuildPlaces(projection, known),
]

const livePlace = (projection: string, { topic, partition, nextOffset, lag }: ShownPosition): StandingAt => ({
  reader: `${projection}/live`,
  topic,
  partition,
  offset: nextOffset,
  pending: lag,
})

/** The end of the log is the same for all. */
const rebuildPlaces = (
  { name, positions, rebuild }: ShownProjection<ShownPosition, ShownRebuild>,
  known: Known,
): StandingAt[] =>
  rebuild === null
    ? []
    : positions.map(({ topic, partition, end }) => {
        const reader = `${name}/building`
        const offset = known.positions.get(keyOf({ reader, topic, partition }))?.nextOffset ?? 0
        return { reader, topic, partition, offset, pending: Math.max(0, end - offset) }
      })

const movements = async (
  places: readonly StandingAt[],
  known: Known,
  { appendTimes, now }: MovementParts,
): Promise<(place: StandingAt) => Movement> => {
  const behind = places.filter(({ pending }) => pending > 0)
  const times = await appendTimes(behind)
  const nowMs = now()
  const ages = new Map(
    behind.map((place, index) => [
      keyOf(place),
      times[index] === undefined ? undefined : nowMs - times[index],
    ]),
  )
  return (place) => ({
    ...(known.positions.get(keyOf(place)) ?? known.generations.get(place.reader) ?? neverMoved),
    pending: place.pending,
    waitsForMs: ages.get(keyOf(place)),
  })
}

type Standing = Pick<Movement, 'standsForMs' | 'isOwned' | 'isPaused'>

interface Known {
  readonly positions: ReadonlyMap<string, Standing & { readonly nextOffset: number }>
  /** Since they were begun, for partitions that nobody has taken yet. */
  readonly generations: ReadonlyMap<string, Standing>
}

const neverMoved: Standing = { standsForMs: undefined, isOwned: false, isPaused: false }

/** As `ttlMs` in consumer/membership.ts: who has not been seen for as long is dead. */
const deadAfterMs = 8_000

/** Ages by Postgres's clock, which also wrote the times. */
const readKnown = async (pool: MovementParts['pool']): Promise<Known> => {
  const [positions, generations] = await Promise.all([
    pool.query<{
      reader: string
      topic: string
      partition: number
      nextOffset: string
      standsForMs: string
      isOwned: boolean
      isPaused: boolean
    }>(
      `select p.reader || '/' || coalesce(g.state, 'live') as reader, p.topic, p.partition,
         p.next_offset as "nextOffset", extract(epoch from now() - p.moved_at) * 1000 as "standsForMs",
         w.id is not null as "isOwned", coalesce(g.paused, false) as "isPaused"
       from embudo.positions p
       left join embudo.generations g on g.projection = p.reader and g.generation = p.generation
       left join embudo.partition_status s on s.reader = p.reader and s.generation = p.generation
         and s.topic = p.topic and s.partition = p.partition
       left join embudo.workers w on w.id = s.worker and w.seen_at >= now() - $1 * interval '1 millisecond'
       where coalesce(g.state, 'live') in ('live', 'building')`,
      [deadAfterMs],
    ),
    pool.query<{ reader: string; standsForMs: string; isPaused: boolean }>(
      `select projection || '/' || state as reader, extract(epoch from now() - created_at) * 1000 as "standsForMs",
         paused as "isPaused"
       from embudo.generations where state in ('live', 'building')`,
    ),
  ])
  return {
    positions: new Map(
      positions.rows.map(({ nextOffset, standsForMs, isOwned, isPaused, ...of }) => [
        keyOf(of),
        { nextOffset: Number(nextOffset), standsForMs: Number(standsForMs), isOwned, isPaused },
      ]),
    ),
    generations: new Map(
      generations.rows.map(({ reader, standsForMs, isPaused }) => [
        reader,
        { standsForMs: Number(standsForMs), isOwned: false, isPaused },
      ]),
    ),
  }
}

const keyOf = ({ reader, topic, partition }: Omit<Place, 'offset'>): string =>
  `${reader}/${topic}/${partition}`
