import { setTimeout as delay } from 'node:timers/promises'
import type { Pool } from 'pg'
import { readPositions } from '../consumer/positions.ts'
import type { Catalog } from '../define/catalog.ts'
import { EmbudoError } from '../define/error.ts'
import { type Patience, patiently } from '../define/patiently.ts'
import type { Log, PartitionBounds } from '../log/port.ts'
import { type Projection, topicsOf } from './definition.ts'
import type { GenerationKind } from './generation-kind.ts'
import {
  beginGeneration,
  changeGeneration,
  type Generation,
  listGenerations,
  type RebuildOptions,
  recordsBehind,
  retireGeneration,
  type Verified,
} from './generations.ts'
import { isNear } from './progress.ts'
import { switchGeneration } from './switch.ts'

export interface LifecycleParts {
  readonly log: Log
  readonly pool: Pool
  readonly catalog: Catalog
  readonly prefix: string
  readonly projections: readonly Projection[]
  /** By projection; one that has none cannot be rebuilt. */
  readonly kinds: ReadonlyMap<string, GenerationKind>
}

/** A generation, as the answer to what was done with it. */
export interface GenerationItem {
  readonly generation: number
  readonly version: number
  readonly state: Generation['state']
  readonly paused: boolean
  readonly maxPerSecond: number | null
}

/** What an operator does with a projection. Each throws `unknown_projection` and `not_rebuildable`. */
export interface Lifecycle {
  /** Begins a generation beside the live one. Throws `rebuild_running`, `log_beginning_lost` unless forced. */
  rebuild(name: string, options?: RebuildOptions): Promise<GenerationItem>
  /**
   * Compares the live generation with the one that is building, or with the previous one. Throws
   * `nothing_to_verify`, and `generation_behind` while the building one has not caught up.
   */
  verify(name: string, signal: AbortSignal): Promise<Verified>
  /**
   * Makes the newer generation the live one. Where it is already, nothing is changed. Throws `nothing_to_switch`,
   * `generation_behind` where it lacks what is read now, and `switch_disturbed` (retriable) where readers or another
   * switch were in the way.
   */
  switch(name: string): Promise<GenerationItem>
  /** Back to the older one, under the same conditions. Throws `nothing_to_roll_back`, and what `switch` does. */
  rollback(name: string): Promise<GenerationItem>
  /** Of the building one, or else of the live one. */
  pause(name: string): Promise<GenerationItem>
  /** Of all that are paused. `maxPerSecond` is of the building one, or else of the live one; left out, it stays. */
  resume(name: string, options?: Pick<RebuildOptions, 'maxPerSecond'>): Promise<GenerationItem>
  /** Lets the previous generation go, or gives up the one that is building. Throws `nothing_to_drop`. */
  drop(name: string, which: 'previous' | 'building'): Promise<GenerationItem>
}

export const projectionLifecycle = (parts: LifecycleParts): Lifecycle => {
  const { pool } = parts

  const found = async (name: string) => {
    const { projection, kind } = managed(parts, name)
    const all = (await listGenerations(pool)).filter((generation) => generation.projection === name)
    const inState = (state: Generation['state']) => all.find((generation) => generation.state === state)
    const live = inState('live')
    if (live === undefined) {
      throw new EmbudoError('not_started', `${name} has no generation yet: no process feeds projections`, {
        retriable: true,
      })
    }
    return { projection, kind, live, building: inState('building'), previous: inState('previous') }
  }

  const itemNow = async (name: string, generation: number): Promise<GenerationItem> =>
    itemOf((await listGenerations(pool)).find((g) => g.projection === name && g.generation === generation)!)

  const switchTo = async (name: string, kind: GenerationKind, live: Generation, to: Generation) => {
    const change = { projection: name, from: live.generation, to: to.generation, kind }
    // One that is far behind is refused before anything stands still.
    const missing = await recordsBehind(pool, name, { ahead: live.generation, behind: to.generation })
    const outcome = missing > farRecords ? 'behind' : await switchGeneration(pool, change)
    if (outcome === 'behind') throw behind(name, live, to)
    if (outcome === 'disturbed') throw disturbed(name, to)
    return await itemNow(name, to.generation)
  }

  const switchOnce = async (name: string): Promise<GenerationItem> => {
    const { kind, live, building, previous } = await found(name)
    const newer =
      building ?? (previous !== undefined && previous.generation > live.generation ? previous : undefined)
    if (newer !== undefined) return await switchTo(name, kind, live, newer)
    if (live.generation > 1) return itemOf(live)
    throw new EmbudoError(
      'nothing_to_switch',
      `${name} has never been rebuilt: there is nothing to switch to`,
    )
  }

  const rollBackOnce = async (name: string): Promise<GenerationItem> => {
    const { kind, live, previous } = await found(name)
    if (previous === undefined) {
      throw new EmbudoError(
        'nothing_to_roll_back',
        `${name} has no previous generation any more; a rebuild makes a new one`,
      )
    }
    return previous.generation > live.generation ? itemOf(live) : await switchTo(name, kind, live, previous)
  }

  return {
    async rebuild(name, options) {
      const { projection } = await found(name)
      const target = await targetOf(parts, projection, options)
      const generation = await beginGeneration(pool, name, projection.version, target, options)
      return await itemNow(name, generation)
    },

    async verify(name, signal) {
      const { projection, kind, live, building, previous } = await found(name)
      const other = building ?? previous
      if (other === undefined) {
        throw new EmbudoError(
          'nothing_to_verify',
          `${name} has one generation: begin a rebuild to compare its rows with what the log makes of them`,
        )
      }
      if (building !== undefined && !(await hasCaughtUp(parts, projection, building)))
        throw behind(name, live, building)
      return await verifyGeneration(pool, kind, live, other, signal)
    },

    switch: (name) => patiently(delay, whileDisturbed, () => switchOnce(name)),

    rollback: (name) => patiently(delay, whileDisturbed, () => rollBackOnce(name)),

    async pause(name) {
      const { live, building } = await found(name)
      const paused = building ?? live
      await changeGeneration(pool, paused, { paused: true })
      return await itemNow(name, paused.generation)
    },

    async resume(name, { maxPerSecond } = {}) {
      const { live, building, previous } = await found(name)
      for (const generation of [live, building, previous])
        if (generation?.paused) await changeGeneration(pool, generation, { paused: false })
      const resumed = building ?? live
      if (maxPerSecond !== undefined) await changeGeneration(pool, resumed, { maxPerSecond })
      return await itemNow(name, resumed.generation)
    },

    async drop(name, which) {
      const { [which]: dropped } = await found(name)
      if (dropped === undefined || !(await retireGeneration(pool, dropped)))
        throw new EmbudoError('nothing_to_drop', `${name} has no generation that is ${which}`)
      return itemOf({ ...dropped, state: 'retired' })
    },
  }
}

/** A reader lets go, or the other switch has done what was asked for: each time all is looked at anew. */
const whileDisturbed: Patience = {
  attempts: 3,
  mayPass: (error) => error instanceof EmbudoError && error.code === 'switch_disturbed',
}

/** More than this cannot be caught up within the standstill of a switch. */
const farRecords = 200_000

const itemOf = ({ generation, version, state, paused, maxPerSecond }: Generation): GenerationItem => ({
  generation,
  version,
  state,
  paused,
  maxPerSecond,
})

const managed = (
  { projections, kinds }: LifecycleParts,
  name: string,
): { readonly projection: Projection; readonly kind: GenerationKind } => {
  const projection = projections.find((candidate) => candidate.name === name)
  if (projection === undefined) {
    throw new EmbudoError(
      'unknown_projection',
      `there is no projection ${name.slice(0, 64)}; there are ${projections.map((p) => p.name).join(', ')}`,
    )
  }
  const kind = kinds.get(name)
  if (kind === undefined) {
    throw new EmbudoError(
      'not_rebuildable',
      `${name} is in ClickHouse: rebuilding works for read models and tallies in Postgres`,
    )
  }
  return { projection, kind }
}

const behind = (name: string, live: Generation, { generation }: Generation): EmbudoError =>
  new EmbudoError(
    'generation_behind',
    `generation ${generation} of ${name} lacks records that generation ${live.generation}, which is live, has; it can be switched to and compared once it has caught up`,
    { facts: { projection: name, generation, live: live.generation } },
  )

const disturbed = (name: string, { generation }: Generation): EmbudoError =>
  new EmbudoError(
    'switch_disturbed',
    `generation ${generation} of ${name} is not shown: somebody reads the one that is, or switches too, and did not let go of it in time; try again`,
    { facts: { projection: name, generation }, retriable: true },
  )

/** How far the log reaches for it, in offsets. Throws `log_beginning_lost` where a rebuild would lack some. */
export const targetOf = async (
  parts: Pick<LifecycleParts, 'log' | 'catalog' | 'prefix'>,
  projection: Projection,
  { force = false }: Pick<RebuildOptions, 'force'> = {},
): Promise<number> => {
  const bounds = await boundsOf(parts, projection)
  for (const [topic, partitions] of bounds) {
    const lost = partitions.find(({ start }) => start > 0)
    if (lost === undefined || force) continue
    throw new EmbudoError(
      'log_beginning_lost',
      `partition ${lost.partition} of ${topic} begins at offset ${lost.start}: a rebuild would lack what was before. With "force" it is made of the rest`,
    )
  }
  return [...bounds.values()].flat().reduce((sum, { end }) => sum + end, 0)
}

/** Whether it is near enough to the log's end to be compared with the live one, and switched to. */
export const hasCaughtUp = async (
  parts: Pick<LifecycleParts, 'log' | 'pool' | 'catalog' | 'prefix'>,
  projection: Projection,
  { generation, target }: Generation,
): Promise<boolean> => {
  const positions = await readPositions(parts.pool, projection.name, generation)
  return isNear(target, positions, await boundsOf(parts, projection))
}

const boundsOf = async (
  { log, catalog, prefix }: Pick<LifecycleParts, 'log' | 'catalog' | 'prefix'>,
  projection: Projection,
): Promise<ReadonlyMap<string, readonly PartitionBounds[]>> => {
  const topics = topicsOf(projection, catalog, prefix)
  return new Map(await Promise.all(topics.map(async (topic) => [topic, await log.bounds(topic)] as const)))
}

/** Compares, and keeps with the other generation what was found. */
export const verifyGeneration = async (
  pool: Pool,
  kind: GenerationKind,
  live: Generation,
  other: Generation,
  signal: AbortSignal,
): Promise<Verified> => {
  const comparison = await kind.compare(live.generation, other.generation, signal)
  const verified: Verified = {
    ...comparison,
    at: new Date().toISOString(),
    live: { generation: live.generation, version: live.version },
    other: { generation: other.generation, version: other.version },
  }
  await changeGeneration(pool, other, { verified })
  return verified
}
