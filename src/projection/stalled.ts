/** How one partition of a reader moves. */
export interface Movement {
  /** Records that are not applied yet. */
  readonly pending: number
  /** Since the first of them was appended; undefined where the log did not say. */
  readonly waitsForMs: number | undefined
  /** Since the position moved last; undefined where it never did. */
  readonly standsForMs: number | undefined
  /** Whether a live process owns it. */
  readonly isOwned: boolean
  readonly isPaused: boolean
}

/** A partition of a process that died is taken over within eight seconds: see consumer/membership.ts. */
const handOverMs = 10_000

/**
 * Whether it should move and does not: the first record that is not applied has waited for longer than it may, and
 * the position has stood for as long. What has just come after a long silence is not stalled, nor is what is far
 * behind and moves. Where nobody owns it, it may take the time of a hand-over.
 */
export const isStalled = (
  { pending, waitsForMs, standsForMs, isOwned, isPaused }: Movement,
  afterMs: number,
): boolean => {
  if (pending === 0 || isPaused) return false
  const patienceMs = isOwned ? afterMs : Math.min(afterMs, handOverMs)
  return (waitsForMs ?? patienceMs) >= patienceMs && (standsForMs ?? patienceMs) >= patienceMs
}

/** How long the first record that is not applied has waited; null where none waits, or it is not known. */
export const oldestUnappliedSeconds = ({ pending, waitsForMs }: Movement): number | null =>
  pending === 0 || waitsForMs === undefined ? null : Math.max(0, Math.round(waitsForMs / 1_000))
