export interface Load {
  /** Part of the time that the process was busy, 0 to 1. */
  readonly utilization: number
  /** That had a request in that time. */
  readonly connections: number
}

/** How many of its connections a process should part with, seen what all of them have to do. */
export const connectionsToGiveUp = (own: Load, all: readonly Load[]): number => {
  const mean = all.reduce((sum, { utilization }) => sum + utilization, 0) / all.length
  const excess = own.utilization - mean
  if (own.utilization < busy || excess < noticeable) return 0
  const share = Math.round((own.connections * excess) / own.utilization)
  // The last one stays: moved, it would only take its load to another.
  return Math.max(0, Math.min(share, own.connections - 1))
}

/** Of the time: below that nobody waits for long. */
const busy = 0.5
/** Smaller differences come and go by themselves. */
const noticeable = 0.2
