import type { DemoEvent, Happening } from './event.ts'
import { type DemoOptions, leadStory } from './lead-story.ts'
import { dayMs, days, leadSources } from './market.ts'
import { seededRandom } from './random.ts'

/**
 * Leads whose stories are told together, in the order of time. More leads follow as further such groups: what is
 * held in memory is bounded, and each lead's own order is kept.
 */
export const leadsTogether = 10_000

/** Everything that happens, group by group. A pure function of its options: the same ids, times and data each time. */
export function* demoEvents(options: DemoOptions, together: number = leadsTogether): Generator<DemoEvent[]> {
  for (let first = 1; first <= options.leads; first += together) {
    const told: (readonly [owner: string, happening: Happening])[] = []
    if (first === 1) for (const spend of spending(options)) told.push(['spend', spend])
    const last = Math.min(options.leads, first + together - 1)
    for (let n = first; n <= last; n++) {
      for (const happening of leadStory(n, options)) told.push([String(n), happening])
    }
    told.sort(([, a], [, b]) => a.atMs - b.atMs)
    yield identified(told, options)
  }
}

/** `demo/7`, and ids as 20261122-38-4: the story's end, the lead, and which of its events it is. */
const identified = (
  told: readonly (readonly [string, Happening])[],
  { seed, untilMs }: DemoOptions,
): DemoEvent[] => {
  const until = new Date(untilMs).toISOString().slice(0, 10).replaceAll('-', '')
  const source = `demo/${seed}`
  const counts = new Map<string, number>()
  return told.map(([owner, { atMs, ...happening }]) => {
    const number = (counts.get(owner) ?? 0) + 1
    counts.set(owner, number)
    return { ...happening, id: `${until}-${owner}-${number}`, source, time: new Date(atMs).toISOString() }
  })
}

/** What each source costs a day, about in proportion to the leads that it brings. */
const spending = ({ leads, seed, untilMs }: DemoOptions): Happening[] => {
  const random = seededRandom(seed, 0)
  return Array.from({ length: days }, (_, index) => untilMs - (days - index) * dayMs).flatMap((dayStart) =>
    leadSources.map(({ name, weight, costPerLead }): Happening => {
      const euros = ((leads * weight) / 100 / days) * costPerLead * (0.7 + random.next() * 0.6)
      return {
        type: 'spend_recorded',
        atMs: dayStart + dayMs - 60_000,
        data: {
          source: name,
          amount: euros.toFixed(2),
          currency: 'EUR',
          day: new Date(dayStart).toISOString().slice(0, 10),
        },
      }
    }),
  )
}
