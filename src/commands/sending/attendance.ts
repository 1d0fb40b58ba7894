import type { Draft, Stay } from './export.ts'

/**
 * One event for each person and webinar out of all their stays: who drops out twice and comes back was in one
 * webinar, and what two devices saw at the same time was seen once.
 */
export class Attendance {
  readonly #people = new Map<string, { readonly draft: Draft; readonly stays: Stay[] }>()

  add(draft: Draft, stay: Stay): void {
    const key = JSON.stringify([draft.type, draft.data.leadId, draft.data.webinarId])
    const known = this.#people.get(key)
    if (known === undefined) this.#people.set(key, { draft, stays: [stay] })
    else known.stays.push(stay)
  }

  /** In the order in which they were first named. */
  *events(): Generator<Draft> {
    for (const { draft, stays } of this.#people.values()) {
      const begins = stays.flatMap(({ fromMs }) => (fromMs === undefined ? [] : [fromMs]))
      const time = begins.length === 0 ? draft.time : new Date(Math.min(...begins)).toISOString()
      yield { ...draft, time, data: { ...draft.data, attendanceDuration: secondsOf(stays) } }
    }
  }
}

/** Seconds that any of the stays covers; those without times are added as they are. */
export const secondsOf = (stays: readonly Stay[]): number => {
  let seconds = 0
  let coveredUntil = Number.NEGATIVE_INFINITY
  let coveredMs = 0
  const spans = stays.flatMap(({ fromMs, toMs }) =>
    fromMs === undefined || toMs === undefined || toMs < fromMs ? [] : [[fromMs, toMs] as const],
  )
  for (const [from, to] of spans.toSorted(([a], [b]) => a - b)) {
    coveredMs += Math.max(0, to - Math.max(from, coveredUntil))
    coveredUntil = Math.max(coveredUntil, to)
  }
  for (const stay of stays) {
    const { fromMs, toMs } = stay
    if (fromMs === undefined || toMs === undefined || toMs < fromMs) seconds += stay.seconds
  }
  return seconds + Math.round(coveredMs / 1_000)
}
