import type { Pool } from 'pg'
import type { Catalog } from '../define/catalog.ts'
import type { Log, PartitionBounds } from '../log/port.ts'
import { type Projection, topicsOf } from './definition.ts'
import { type Generation, listGenerations, type Verified } from './generations.ts'
import { type Progress, progressOf } from './progress.ts'

export interface ProjectionItem {
  readonly name: string
  readonly kind: Projection['kind']
  readonly version: number
  /** `failed`: a partition has stopped and says why in its position, or the generation cannot be fed at all. */
  readonly state: 'live' | 'paused' | 'rebuilding' | 'failed'
  /** Records of the log that are not applied yet. */
  readonly lag: number
  readonly positions: readonly PositionItem[]
  readonly rebuild: RebuildItem | null
  readonly generations: readonly GenerationSummary[]
}

interface PositionItem {
  readonly topic: string
  readonly partition: number
  readonly nextOffset: number
  readonly end: number
  readonly lag: number
  readonly state: string
  readonly worker: string | null
  readonly error: string | null
}

type ReachedPosition = PositionItem & { readonly passed: number }

interface RebuildItem extends Progress {
  readonly generation: number
  readonly version: number
  readonly maxPerSecond: number | null
  /** Whether it becomes the live one by itself, or by hand. */
  readonly switch: 'auto' | 'manual'
  readonly error: string | null
}

interface GenerationSummary {
  readonly generation: number
  readonly version: number
  readonly state: Generation['state']
  readonly paused: boolean
  readonly lag: number
  readonly createdAt: string
  readonly liveAt: string | null
  /** Of the generation, or of a partition of it that has stopped. */
  readonly error: string | null
  readonly verified: Pick<Verified, 'at' | 'rows' | 'differences'> | null
}

export interface ProjectionQueryParts {
  readonly pool: Pool
  readonly log: Log
  readonly catalog: Catalog
  readonly prefix: string
  readonly projections: readonly Projection[]
}

/** The list of `/api/projections`: where each stands, and how far a rebuild is. */
export const listProjections = async (parts: ProjectionQueryParts): Promise<ProjectionItem[]> => {
  const { pool, log, projections } = parts
  const [generations, stored] = await Promise.all([listGenerations(pool), storedPositions(pool)])
  const topics = [
    ...new Set(projections.flatMap((projection) => topicsOf(projection, parts.catalog, parts.prefix))),
  ]
  const bounds = new Map(
    await Promise.all(topics.map(async (topic) => [topic, await log.bounds(topic)] as const)),
  )
  return projections.map((projection) => itemOf(projection, parts, generations, stored, bounds))
}

/** Next offsets of a projection's live generation, by `<topic>:<partition>`. */
export const livePositions = async (pool: Pool, model: string): Promise<Map<string, number>> => {
  const { rows } = await pool.query<{ topic: string; partition: number; next_offset: string }>(
    `select p.topic, p.partition, p.next_offset from embudo.positions p
     left join embudo.generations g on g.projection = p.reader and g.generation = p.generation
     where p.reader = $1 and coalesce(g.state, 'live') = 'live'`,
    [model],
  )
  return new Map(rows.map((row) => [`${row.topic}:${row.partition}`, Number(row.next_offset)]))
}

interface StoredPosition {
  readonly reader: string
  readonly generation: number
  readonly topic: string
  readonly partition: number
  readonly next_offset: string
  readonly origin: string
  readonly state: string | null
  readonly worker: string | null
  readonly error: string | null
}

const storedPositions = async (pool: Pool): Promise<StoredPosition[]> => {
  const { rows } = await pool.query<StoredPosition>(
    `select p.reader, p.generation, p.topic, p.partition, p.next_offset, p.origin, s.state, s.worker, s.error
     from embudo.positions p left join embudo.partition_status s using (reader, generation, topic, partition)`,
  )
  return rows
}

const itemOf = (
  projection: Projection,
  { catalog, prefix }: ProjectionQueryParts,
  generations: readonly Generation[],
  stored: readonly StoredPosition[],
  bounds: ReadonlyMap<string, readonly PartitionBounds[]>,
): ProjectionItem => {
  const mine = generations.filter((generation) => generation.projection === projection.name)
  const live = mine.find((generation) => generation.state === 'live')
  const building = mine.find((generation) => generation.state === 'building')
  const topics = topicsOf(projection, catalog, prefix)
  const at = (generation: Pick<Generation, 'generation' | 'paused'>): ReachedPosition[] =>
    topics.flatMap((topic) =>
      (bounds.get(topic) ?? []).map(({ partition, start, end }) => {
        const found = stored.find(
          (p) =>
            p.reader === projection.name &&
            p.generation === generation.generation &&
            p.topic === topic &&
            p.partition === partition,
        )
        const nextOffset = found === undefined ? start : Number(found.next_offset)
        return {
          topic,
          partition,
          nextOffset,
          end,
          passed: found === undefined ? 0 : nextOffset - Number(found.origin),
          lag: Math.max(0, end - nextOffset),
          state: generation.paused ? 'paused' : (found?.state ?? 'waiting'),
          worker: generation.paused ? null : (found?.worker ?? null),
          error: found?.error ?? null,
        }
      }),
    )
  const positions = at(live ?? { generation: 1, paused: false }).map(({ passed: _, ...shown }) => shown)
  const failed = (live?.error ?? null) !== null || positions.some(({ state }) => state === 'failed')
  const paused = live?.paused === true
  return {
    name: projection.name,
    kind: projection.kind,
    version: live?.version ?? projection.version,
    state: failed ? 'failed' : building !== undefined ? 'rebuilding' : paused ? 'paused' : 'live',
    lag: lagIn(positions),
    positions,
    rebuild: building === undefined ? null : rebuildOf(building, at(building)),
    generations: mine.map((generation) => summaryOf(generation, at(generation))),
  }
}

const lagIn = (positions: readonly PositionItem[]): number =>
  positions.reduce((sum, position) => sum + position.lag, 0)

const stoppedIn = (positions: readonly PositionItem[]): PositionItem | undefined =>
  positions.find(({ state }) => state === 'failed')

const rebuildOf = (building: Generation, positions: readonly ReachedPosition[]): RebuildItem => {
  const reached = positions.map((position) => ({ ...position, hasFailed: position.state === 'failed' }))
  return {
    ...progressOf(building, reached),
    generation: building.generation,
    version: building.version,
    maxPerSecond: building.maxPerSecond,
    switch: building.switchesItself ? 'auto' : 'manual',
    error: building.error ?? stoppedIn(positions)?.error ?? null,
  }
}

const summaryOf = (
  { generation, version, state, paused, createdAt, liveAt, error, verified }: Generation,
  positions: readonly PositionItem[],
): GenerationSummary => ({
  ...{ generation, version, state, paused, lag: lagIn(positions) },
  error: error ?? stoppedIn(positions)?.error ?? null,
  createdAt: createdAt.toISOString(),
  liveAt: liveAt?.toISOString() ?? null,
  verified:
    verified === null ? null : { at: verified.at, rows: verified.rows, differences: verified.differences },
})
