import type { RetryPolicy } from '../define/saga.ts'

/** Exponential, with half of it drawn at random so that many that failed together do not come back together. */
export const retryDelayMs = (failures: number, policy: RetryPolicy, random: () => number): number =>
  Math.min(policy.maxDelayMs, policy.baseDelayMs * 2 ** Math.max(0, failures - 1)) * (0.5 + random() / 2)
