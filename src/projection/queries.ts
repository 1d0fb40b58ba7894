import type { Pool } from 'pg'
import type { Catalog } from '../define/catalog.ts'
import { topicName } from '../define/catalog.ts'
import { EmbudoError } from '../define/error.ts'
import type { Log, PartitionBounds } from '../log/port.ts'
import type { Projection } from './definition.ts'
import { beginGeneration, type Generation, listGenerations } from './generations.ts'

export interface ProjectionItem {
  readonly name: string
  readonly kind: Projection['kind']
  readonly version: number
  /** `failed`: a partition has stopped and says why in its position. */
  readonly state: 'live' | 'rebuilding' | 'failed'
  /** Records of the log that are not applied yet. */
  readonly lag: number
  readonly positions: readonly PositionItem[]
  readonly rebuild: RebuildItem | null
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

interface RebuildItem {
  readonly state: 'replaying' | 'catching up' | 'failed'
  readonly generation: number
  readonly percent: number
  readonly eventsPerSecond: number
  readonly etaSeconds: number | null
}

export interface ProjectionQueryParts {
  readonly pool: Pool
  readonly log: Log
  readonly catalog: Catalog
  readonly prefix: string
  readonly projections: readonly Projection[]
  readonly now: () => Date
}

/** The list of `/api/projections`: where each stands, and how far a rebuild is. */
export const listProjections = async (parts: ProjectionQueryParts): Promise<ProjectionItem[]> => {
  const { pool, log, projections } = parts
  const [generations, stored] = await Promise.all([listGenerations(pool), storedPositions(pool)])
  const topics = [...new Set(projections.flatMap((projection) => topicsOf(projection, parts)))]
  const bounds = new Map(
    await Promise.all(topics.map(async (topic) => [topic, await log.bounds(topic)] as const)),
  )
  return projections.map((projection) => itemOf(projection, parts, generations, stored, bounds))
}

/** Begins a generation beside the live one; throws `unknown_projection`, `not_rebuildable`, `rebuild_running`. */
export const rebuildProjection = async (
  parts: ProjectionQueryParts,
  name: string,
): Promise<{ generation: number }> => {
  const projection = parts.projections.find((candidate) => candidate.name === name)
  if (projection === undefined) {
    throw new EmbudoError(
      'unknown_projection',
      `there is no projection ${name}; there are ${parts.projections.map((p) => p.name).join(', ')}`,
    )
  }
  if (projection.kind === 'event tables') {
    throw new EmbudoError(
      'not_rebuildable',
      `${name} is in ClickHouse: rebuilding works for read models and tallies in Postgres`,
    )
  }
  const bounds = await parts.log.bounds(topicName(parts.prefix, projection.topic))
  const lost = bounds.find(({ start }) => start > 0)
  if (lost !== undefined) {
    throw new EmbudoError(
      'log_beginning_lost',
      `partition ${lost.partition} of ${projection.topic.name} begins at offset ${lost.start}: a rebuild would lack what was before`,
    )
  }
  const target = bounds.reduce((sum, { start, end }) => sum + end - start, 0)
  return { generation: await beginGeneration(parts.pool, name, projection.version, target) }
}

/** Next offsets of a projection's live generation, by `<topic>:<partition>`; event tables have one generation. */
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
  readonly state: string | null
  readonly worker: string | null
  readonly error: string | null
}

const storedPositions = async (pool: Pool): Promise<StoredPosition[]> => {
  const { rows } = await pool.query<StoredPosition>(
    `select p.reader, p.generation, p.topic, p.partition, p.next_offset, s.state, s.worker, s.error
     from embudo.positions p left join embudo.partition_status s using (reader, generation, topic, partition)`,
  )
  return rows
}

export const topicsOf = (
  projection: Projection,
  { catalog, prefix }: Pick<ProjectionQueryParts, 'catalog' | 'prefix'>,
): string[] =>
  (projection.kind === 'event tables' ? catalog.topics : [projection.topic]).map((topic) =>
    topicName(prefix, topic),
  )

const itemOf = (
  projection: Projection,
  parts: ProjectionQueryParts,
  generations: readonly Generation[],
  stored: readonly StoredPosition[],
  bounds: ReadonlyMap<string, readonly PartitionBounds[]>,
): ProjectionItem => {
  const mine = generations.filter((generation) => generation.projection === projection.name)
  const live = mine.find((generation) => generation.state === 'live')
  const building = mine.find((generation) => generation.state === 'building')
  const at = (generation: number | undefined): PositionItem[] =>
    topicsOf(projection, parts).flatMap((topic) =>
      (bounds.get(topic) ?? []).map(({ partition, start, end }): PositionItem => {
        const found = stored.find(
          (p) =>
            p.reader === projection.name &&
            p.generation === generation &&
            p.topic === topic &&
            p.partition === partition,
        )
        const nextOffset = found === undefined ? start : Number(found.next_offset)
        return {
          topic,
          partition,
          nextOffset,
          end,
          lag: Math.max(0, end - nextOffset),
          state: found?.state ?? 'waiting',
          worker: found?.worker ?? null,
          error: found?.error ?? null,
        }
      }),
    )
  const positions = at(live?.generation ?? 1)
  const failed = positions.some((position) => position.state === 'failed')
  return {
    name: projection.name,
    kind: projection.kind,
    version: live?.version ?? projection.version,
    state: failed ? 'failed' : building === undefined ? 'live' : 'rebuilding',
    lag: positions.reduce((sum, position) => sum + position.lag, 0),
    positions,
    rebuild: building === undefined ? null : rebuildOf(building, at(building.generation), parts.now()),
  }
}

const rebuildOf = (building: Generation, positions: readonly PositionItem[], now: Date): RebuildItem => {
  const applied = positions.reduce((sum, position) => sum + position.nextOffset, 0)
  const missing = positions.reduce((sum, position) => sum + position.lag, 0)
  const seconds = Math.max(0.001, (now.getTime() - building.createdAt.getTime()) / 1_000)
  const eventsPerSecond = Math.round(applied / seconds)
  const percent = building.target === 0 ? 100 : Math.min(100, (100 * applied) / building.target)
  return {
    state: positions.some((position) => position.state === 'failed')
      ? 'failed'
      : percent < 100
        ? 'replaying'
        : 'catching up',
    generation: building.generation,
    percent: Math.round(percent * 10) / 10,
    eventsPerSecond,
    etaSeconds: eventsPerSecond === 0 ? null : Math.ceil(missing / eventsPerSecond),
  }
}
