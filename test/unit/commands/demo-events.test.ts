import { beforeAll, describe, expect, it } from 'vitest'
import * as generated from '../../../schemas/events.generated.ts'
import { demoEvents } from '../../../src/commands/demo/demo-events.ts'
import type { DemoEvent } from '../../../src/commands/demo/event.ts'
import { leadStory } from '../../../src/commands/demo/lead-story.ts'
import { catalogOf } from '../../../src/define/catalog.ts'
import { eventValidator } from '../../../src/ingest/validate.ts'
import { passThrough } from '../../../src/privacy/pass-through.ts'

const untilMs = Date.UTC(2026, 10, 20)
const told = (leads: number, seed: number): DemoEvent[] => [...demoEvents({ leads, seed, untilMs })].flat()

describe('the demo', () => {
  let events: DemoEvent[]
  beforeAll(() => {
    events = told(10_000, 7)
  })

  it('tells the same story for the same seed, and another for another', () => {
    expect(told(300, 7)).toEqual(told(300, 7))
    expect(told(300, 8)).not.toEqual(told(300, 7))
  })

  it('tells the story of a lead whatever the number of leads around it', () => {
    const few = told(50, 7).filter(({ data }) => 'leadId' in data && data.leadId === 'L-7-13')
    const many = events.filter(({ data }) => 'leadId' in data && data.leadId === 'L-7-13')
    expect(few).toEqual(many)
  })

  it('gives each event an id of its own under the source of the seed', () => {
    expect(new Set(events.map(({ id }) => id)).size).toBe(events.length)
    expect(new Set(events.map(({ source }) => source))).toEqual(new Set(['demo/7']))
  })

  it('tells events in the order of time, within the 60 days before its end', () => {
    const times = events.map(({ time }) => time)
    expect(times).toEqual(times.toSorted())
    expect(times[0]! >= '2026-09-21').toBe(true)
    expect(times.at(-1)! < '2026-11-20').toBe(true)
  })

  it('keeps the order of each lead where leads are told in several groups', () => {
    const last = new Map<string, string>()
    for (const { data, time } of [...demoEvents({ leads: 220, seed: 3, untilMs }, 50)].flat()) {
      if (!('leadId' in data)) continue
      if (time < (last.get(data.leadId) ?? '')) expect.fail(`${data.leadId} goes back in time`)
      last.set(data.leadId, time)
    }
    expect(last.size).toBe(220)
  })

  it('is taken by the validation that guards the log', () => {
    const catalog = catalogOf(generated)
    const validate = eventValidator({
      catalog,
      personal: passThrough,
      nowMs: () => untilMs,
      newId: () => 'none',
    })
    const refused = events.flatMap((event) => {
      const verdict = validate(structuredClone(event), { source: 'test', traceparent: undefined })
      return 'refused' in verdict ? [{ event, why: verdict.refused }] : []
    })
    expect(refused).toEqual([])
  })

  it('looks like a funnel', () => {
    const leadsOf = (type: DemoEvent['type']) =>
      new Set(
        events.flatMap((event) => (event.type === type && 'leadId' in event.data ? [event.data.leadId] : [])),
      )
    const registered = leadsOf('lead_registered').size
    const attended = leadsOf('webinar_attended')
    const converted = leadsOf('conversion_completed')
    expect(registered).toBe(10_000)
    expect(attended.size / registered).toBeGreaterThan(0.37)
    expect(attended.size / registered).toBeLessThan(0.45)
    expect(converted.size / registered).toBeGreaterThan(0.04)
    expect(converted.size / registered).toBeLessThan(0.12)
    expect(events.length).toBeGreaterThan(60_000)
    expect(events.length).toBeLessThan(80_000)

    const sourceOf = new Map(
      events.flatMap((event) =>
        event.type === 'lead_registered' ? [[event.data.leadId, event.data.source!] as const] : [],
      ),
    )
    const conversionOf = (source: string) => {
      const leads = [...sourceOf].filter(([, from]) => from === source).map(([leadId]) => leadId)
      return leads.filter((leadId) => converted.has(leadId)).length / leads.length
    }
    expect(conversionOf('referral')).toBeGreaterThan(conversionOf('webinar'))
    expect(conversionOf('webinar')).toBeGreaterThan(2 * conversionOf('google-ads'))
  })

  it('has webinars, money, learners, spending, and enrollments of which some fail', () => {
    const of = <Type extends DemoEvent['type']>(type: Type) =>
      events.filter((event): event is DemoEvent & { type: Type } => event.type === type)
    expect(new Set(of('webinar_attended').map(({ data }) => data.webinarId)).size).toBe(12)
    expect(new Set(of('conversion_completed').map(({ data }) => data.currency))).toEqual(
      new Set(['EUR', 'GBP', 'USD']),
    )
    expect(of('course_completed').length).toBeGreaterThan(100)
    expect(of('spend_recorded')).toHaveLength(300)
    const enrollments = of('enrollment_requested').map(({ data }) => data)
    const refused = enrollments.filter(({ paymentMethod }) => paymentMethod === 'pm_card_chargeDeclined')
    expect(enrollments.length).toBeGreaterThan(190)
    expect(refused.length / enrollments.length).toBeCloseTo(0.1, 1)
    expect(enrollments.some(({ courseId }) => courseId === 'C-9-full')).toBe(true)
  })

  it('never has anybody do a thing before they are known', () => {
    for (let n = 1; n <= 2_000; n++)
      expect(leadStory(n, { seed: 5, untilMs })[0]?.type).toBe('lead_registered')
  })
})
