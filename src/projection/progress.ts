import type { PartitionBounds } from '../log/port.ts'
import type { Generation, Sample } from './generations.ts'

/** How far a rebuild is. */
export interface Progress {
  readonly state: 'replaying' | 'paused' | 'catching up' | 'caught up' | 'verified' | 'differs' | 'failed'
  readonly percent: number
  /** Of the last seconds. */
  readonly eventsPerSecond: number
  readonly etaSeconds: number | null
}

/** How far a generation is in a partition. */
export interface Reached {
  readonly nextOffset: number
  /** Records that it has passed. */
  readonly passed: number
  /** Records of the log that are not applied yet. */
  readonly lag: number
  readonly hasFailed: boolean
}

export const progressOf = (
  generation: Pick<Generation, 'target' | 'paused' | 'error' | 'verified' | 'samples' | 'asOfMs'>,
  reached: readonly Reached[],
): Progress => {
  const applied = reached.reduce((sum, { nextOffset }) => sum + nextOffset, 0)
  const passed = reached.reduce((sum, each) => sum + each.passed, 0)
  const missing = reached.reduce((sum, { lag }) => sum + lag, 0)
  const percent = generation.target === 0 ? 100 : Math.min(100, (100 * applied) / generation.target)
  const eventsPerSecond = generation.paused
    ? 0
    : Math.round(rateOf(generation.samples, passed, generation.asOfMs))
  return {
    state: stateOf(generation, percent, reached),
    // 100 is said when all of it is there, and not before.
    percent: percent < 100 ? Math.min(99.9, Math.round(percent * 10) / 10) : 100,
    eventsPerSecond,
    etaSeconds: missing === 0 ? 0 : eventsPerSecond === 0 ? null : Math.ceil(missing / eventsPerSecond),
  }
}

const stateOf = (
  { paused, error, verified }: Pick<Generation, 'paused' | 'error' | 'verified'>,
  percent: number,
  reached: readonly Reached[],
): Progress['state'] => {
  if (error !== null || reached.some(({ hasFailed }) => hasFailed)) return 'failed'
  if (paused) return 'paused'
  if (percent < 100) return 'replaying'
  if (!reached.every(({ lag }) => lag < nearRecords)) return 'catching up'
  if (verified === null) return 'caught up'
  if (verified.differences === 0) return 'verified'
  // Another fold makes other rows: that says nothing against it.
  return verified.live.version === verified.other.version ? 'differs' : 'caught up'
}

/** So little is missing in a partition that the last steps fit into the standstill of a switch. */
const nearRecords = 5_000

/** Whether a generation has the records that the log had when it was begun, and few of the later ones are missing. */
export const isNear = (
  target: number,
  positions: readonly { readonly partition: number; readonly topic: string; readonly nextOffset: number }[],
  bounds: ReadonlyMap<string, readonly PartitionBounds[]>,
): boolean => {
  const applied = positions.reduce((sum, { nextOffset }) => sum + nextOffset, 0)
  if (applied < target) return false
  return [...bounds].every(([topic, partitions]) =>
    partitions.every(({ partition, end }) => {
      const position = positions.find((p) => p.topic === topic && p.partition === partition)
      return position !== undefined && end - position.nextOffset < nearRecords
    }),
  )
}

const oldestMs = 15_000
const leastMs = 500

/** Since the oldest sample that is not too old: 0 where nobody has looked for a while. */
export const rateOf = (samples: readonly Sample[], records: number, nowMs: number): number => {
  const oldest = samples.find(([atMs]) => nowMs - atMs <= oldestMs)
  if (oldest === undefined || nowMs - oldest[0] < leastMs) return 0
  return Math.max(0, ((records - oldest[1]) * 1_000) / (nowMs - oldest[0]))
}
