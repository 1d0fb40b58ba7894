import type { Pool } from 'pg'
import type { Logger } from 'pino'
import { type Consumer, startConsumer } from '../consumer/consumer.ts'
import type { Membership } from '../consumer/membership.ts'
import { readPositions } from '../consumer/positions.ts'
import type { Corrections } from '../dead-letter/correction.ts'
import { topicName } from '../define/catalog.ts'
import { messageOf } from '../define/error.ts'
import type { Codec } from '../log/codec.ts'
import type { Log } from '../log/port.ts'
import type { ObserveBatches } from '../telemetry/observers.ts'
import type { PostgresProjection } from './definition.ts'
import { beginGeneration, ensureFirstGeneration, type Generation, listGenerations } from './generations.ts'
import { dropRetired, prepareGeneration } from './postgres/prepare.ts'
import { type ProjectorParts, project } from './postgres/projector.ts'
import { switchGeneration } from './postgres/switch.ts'
import { quote, tableOf } from './postgres/table.ts'

export interface ManagerParts {
  readonly log: Log
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
  readonly everyMs?: number
}

export interface ProjectionManager extends AsyncDisposable {
  consumers(): readonly Consumer[]
}

/**
 * Feeds every generation of every Postgres projection that this code can feed: those of the definition's own
 * version. Looks every second for generations that were begun or have ended, and makes a generation that has
 * caught up the live one.
 */
export const startProjections = async (
  projections: readonly PostgresProjection[],
  parts: ManagerParts,
): Promise<ProjectionManager> => {
  const { pool, log, prefix, logger } = parts
  const byName = new Map(projections.map((projection) => [projection.name, projection]))
  const consumers = new Map<string, Consumer>()
  let stopped = false

  for (const projection of projections) await ensureFirstGeneration(pool, projection.name, projection.version)

  const start = async (
    projection: PostgresProjection,
    { generation, state }: Generation,
  ): Promise<Consumer> => {
    const table = tableOf(projection, generation)
    await prepareGeneration(pool, projection, table, state === 'live')
    const projector: ProjectorParts = {
      ...parts,
      table,
      cacheRows: Math.ceil(parts.cacheRows / projection.topic.partitions),
      observe: (batches) => parts.observe(projection.name, batches),
    }
    const run = project(projection, projector)
    return await startConsumer(
      { reader: projection.name, generation, topics: [projection.topic], run },
      parts,
    )
  }

  const settle = async (): Promise<void> => {
    const generations = await listGenerations(pool)
    const wanted = new Set<string>()
    for (const generation of generations) {
      const projection = byName.get(generation.projection)
      if (projection === undefined || generation.state === 'retired') continue
      if (generation.version !== projection.version) {
        const hasSuccessor = generations.some(
          (g) => g.projection === projection.name && g.version === projection.version,
        )
        if (generation.state === 'live' && !hasSuccessor) {
          logger.info(
            { projection: projection.name, version: projection.version },
            'a new version: rebuilding',
          )
          const target = await recordsIn(log, topicName(prefix, projection.topic))
          await beginGeneration(pool, projection.name, projection.version, target)
        }
        continue
      }
      const key = `${generation.projection}/${generation.generation}`
      wanted.add(key)
      if (!consumers.has(key)) consumers.set(key, await start(projection, generation))
    }
    for (const [key, consumer] of consumers) {
      if (wanted.has(key)) continue
      consumers.delete(key)
      await consumer[Symbol.asyncDispose]()
    }
    for (const generation of generations) {
      const projection = byName.get(generation.projection)
      if (projection === undefined || generation.state !== 'building') continue
      if (!parts.membership.owns('switch', projection.name, 0)) continue
      await switchWhenCaughtUp(projection, generation, generations)
    }
    await dropRetired(pool, (name, generation) => `embudo.${quote(`${name}_${generation}`)}`)
  }

  const switchWhenCaughtUp = async (
    projection: PostgresProjection,
    building: Generation,
    generations: readonly Generation[],
  ): Promise<void> => {
    const live = generations.find((g) => g.projection === projection.name && g.state === 'live')
    if (live === undefined || building.version !== projection.version) return
    if (!(await isNear(parts, projection, building.generation))) return
    const switched = await switchGeneration(pool, {
      projection,
      from: live.generation,
      to: building.generation,
      table: tableOf(projection, building.generation),
    })
    if (switched)
      logger.info(
        { projection: projection.name, generation: building.generation },
        'the rebuilt generation is live',
      )
  }

  const stopConsumers = async (): Promise<void> => {
    await Promise.all([...consumers.values()].map((consumer) => consumer[Symbol.asyncDispose]()))
  }

  try {
    await settle()
  } catch (error) {
    await stopConsumers()
    throw error
  }
  let settling: Promise<void> = Promise.resolve()
  const timer = setInterval(() => {
    settling = settling
      .then(() => (stopped ? undefined : settle()))
      .catch((error: unknown) =>
        logger.warn({ error: messageOf(error) }, 'projections could not be looked after, trying again'),
      )
  }, parts.everyMs ?? 1_000)

  return {
    consumers: () => [...consumers.values()],
    async [Symbol.asyncDispose]() {
      stopped = true
      clearInterval(timer)
      await settling
      await stopConsumers()
    },
  }
}

export const recordsIn = async (log: Log, topic: string): Promise<number> =>
  (await log.bounds(topic)).reduce((sum, { start, end }) => sum + end - start, 0)

/** Whether little enough is missing that the last steps fit into the standstill of a switch. */
const isNear = async (
  { pool, log, prefix }: ManagerParts,
  projection: PostgresProjection,
  generation: number,
): Promise<boolean> => {
  const positions = await readPositions(pool, projection.name, generation)
  const bounds = await log.bounds(topicName(prefix, projection.topic))
  if (positions.length < bounds.length) return false
  const missing = bounds.map(
    ({ partition, end }) => end - (positions.find((p) => p.partition === partition)?.nextOffset ?? 0),
  )
  return missing.every((records) => records < 5_000)
}
