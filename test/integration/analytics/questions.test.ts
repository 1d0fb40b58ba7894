import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { funnel, funnelParameters, parseFunnel } from '../../../src/query/analytics/funnel.ts'
import { parseTimeseries, timeseries, timeseriesParameters } from '../../../src/query/analytics/timeseries.ts'
import { catalog, openWorld, Story, type World } from '../clickhouse/sink-world.ts'

const byName = (eventType: string) => eventType
const now = Date.parse('2026-11-22T12:00:00Z')

describe('questions to the analytics tables', () => {
  let world: World
  beforeAll(async () => {
    world = await openWorld(inject('parts'))
    await append(world)
  })
  afterAll(async () => {
    await world[Symbol.asyncDispose]()
  })

  const series = (query: Record<string, unknown>) =>
    timeseries(
      world.clickhouse,
      byName,
      parseTimeseries(timeseriesParameters.parse(query), catalog, now),
      now,
    )
  const funnelOf = async (query: Record<string, unknown>) => {
    const answer = await funnel(
      world.clickhouse,
      byName,
      parseFunnel(funnelParameters.parse(query), catalog, now),
      now,
    )
    return answer.groups.map(({ by, steps }) => [by, ...steps.map((step) => step.subjects)])
  }

  describe('timeseries', () => {
    it('counts by day in the zone asked for, with zero where nothing was', async () => {
      const answer = await series({
        event: 'webinar_attended',
        interval: 'day',
        tz: 'Europe/Berlin',
        from: '2026-10-23T22:00:00Z',
        to: '2026-10-26T23:00:00Z',
      })
      // Clocks go back on the 25th: that day has 25 hours.
      expect(answer).toEqual({
        interval: 'day',
        asOf: expect.stringMatching(/Z$/),
        series: [
          {
            by: null,
            points: [
              { time: '2026-10-23T22:00:00.000Z', value: 1 },
              { time: '2026-10-24T22:00:00.000Z', value: 2 },
              { time: '2026-10-25T23:00:00.000Z', value: 0 },
            ],
          },
        ],
      })
    })

    it('takes from and leaves to', async () => {
      const at = { event: 'content_consumed', interval: 'hour' }
      const values = async (from: string, to: string) =>
        (await series({ ...at, from, to })).series[0]?.points.map((point) => point.value)
      expect(await values('2026-11-02T09:00:00Z', '2026-11-02T10:00:00Z')).toEqual([2])
      expect(await values('2026-11-02T09:00:00.001Z', '2026-11-02T10:00:00Z')).toEqual([1])
      expect(await values('2026-11-02T08:00:00Z', '2026-11-02T09:00:00Z')).toEqual([0])
    })

    it('counts different subjects, and one series for each value', async () => {
      const answer = await series({
        event: 'conversion_completed',
        measure: 'subjects',
        by: 'conversionType',
        interval: 'month',
        from: '2026-11-01T00:00:00Z',
        to: '2026-12-01T00:00:00Z',
      })
      expect(answer.series).toEqual([
        { by: 'sale', points: [{ time: '2026-11-01T00:00:00.000Z', value: 4 }] },
        { by: 'trial', points: [{ time: '2026-11-01T00:00:00.000Z', value: 1 }] },
      ])
    })

    it.each([
      ['sum:value', '149.75'],
      ['avg:value', '29.95'],
      ['p95:value', '49.50'],
    ])('keeps money exact in %s', async (measure, value) => {
      const month = { interval: 'month', from: '2026-11-01T00:00:00Z', to: '2026-12-01T00:00:00Z' }
      const answer = await series({ event: 'conversion_completed', measure, ...month })
      expect(answer.series[0]?.points[0]?.value).toBe(value)
    })

    it('measures numbers, leaving out what has none', async () => {
      const month = { interval: 'month', from: '2026-10-01T00:00:00Z', to: '2026-11-01T00:00:00Z' }
      const value = async (measure: string) =>
        (await series({ event: 'webinar_attended', measure, ...month })).series[0]?.points[0]?.value
      expect(await value('sum:attendanceDuration')).toBe(600)
      expect(await value('avg:engagementScore')).toBe(0.5)
    })

    it('filters, also by what would be SQL if it were not a parameter', async () => {
      const month = {
        event: 'webinar_attended',
        interval: 'month',
        from: '2026-10-01T00:00:00Z',
        to: '2026-11-01T00:00:00Z',
      }
      expect((await series({ ...month, where: { webinarId: 'W-1' } })).series[0]?.points[0]?.value).toBe(2)
      expect(
        (await series({ ...month, where: { webinarId: "' OR 1=1 --\\" } })).series[0]?.points[0]?.value,
      ).toBe(0)
    })

    it('groups what has no value under null', async () => {
      const answer = await series({
        event: 'lead_registered',
        by: 'company',
        interval: 'month',
        from: '2026-11-01T00:00:00Z',
        to: '2026-12-01T00:00:00Z',
      })
      expect(answer.series.map(({ by, points }) => [by, points[0]?.value])).toEqual([
        ['Acme', 3],
        [null, 4],
      ])
    })
  })

  describe('funnel', () => {
    const november = { from: '2026-11-01T00:00:00Z', to: '2026-12-01T00:00:00Z' }

    it('counts subjects whose events come in order, within the window from the first', async () => {
      const steps = 'lead_registered,content_consumed,conversion_completed'
      expect(await funnelOf({ ...november, steps, window: '7d' })).toEqual([[null, 7, 3, 2]])
      expect(await funnelOf({ ...november, steps, window: '30d' })).toEqual([[null, 7, 4, 3]])
    })

    it('says shares of the step before and of the first', async () => {
      const query = {
        ...november,
        steps: 'lead_registered,content_consumed,conversion_completed',
        window: '30d',
      }
      const answer = await funnel(
        world.clickhouse,
        byName,
        parseFunnel(funnelParameters.parse(query), catalog, now),
        now,
      )
      expect(answer.groups[0]?.steps.at(-1)).toEqual({
        event: 'conversion_completed',
        subjects: 3,
        fromPrevious: 0.75,
        fromFirst: 0.4286,
      })
    })

    it('takes events of one millisecond in the order of the log', async () => {
      const steps = 'lead_registered,content_consumed'
      expect(await funnelOf({ ...november, steps, where: { contentId: 'same-ms' } })).toEqual([[null, 7, 1]])
    })

    it('needs an event for each step, also where a step comes twice', async () => {
      expect(
        await funnelOf({ ...november, steps: 'content_consumed,content_consumed', window: '30d' }),
      ).toEqual([[null, 6, 1]])
    })

    it('makes one funnel for each value of the first step', async () => {
      const steps = 'lead_registered,content_consumed'
      expect(await funnelOf({ ...november, steps, by: 'company', window: '30d' })).toEqual([
        [null, 4, 2],
        ['Acme', 3, 2],
      ])
    })

    it('is zero where nobody began', async () => {
      expect(await funnelOf({ steps: 'payment_initiated,payment_completed', ...november })).toEqual([
        [null, 0, 0],
      ])
    })
  })
})

type Told = readonly [type: string, leadId: string, time: string, data: Record<string, unknown>]

const history: readonly Told[] = [
  [
    'webinar_attended',
    'W',
    '2026-10-24T21:59:59.999Z',
    { webinarId: 'W-1', attendanceDuration: 100, engagementScore: 0.25 },
  ],
  [
    'webinar_attended',
    'W',
    '2026-10-24T22:00:00.000Z',
    { webinarId: 'W-1', attendanceDuration: 200, engagementScore: null },
  ],
  [
    'webinar_attended',
    'W',
    '2026-10-25T22:59:59.999Z',
    { webinarId: 'W-2', attendanceDuration: 300, engagementScore: 0.75 },
  ],
  // Goes all the way.
  ['lead_registered', 'A', '2026-11-02T08:00:00Z', { company: 'Acme' }],
  ['content_consumed', 'A', '2026-11-02T09:00:00Z', {}],
  ['conversion_completed', 'A', '2026-11-03T00:00:00Z', { conversionType: 'sale', value: '49.50' }],
  // Consumes before registering, then again.
  ['content_consumed', 'B', '2026-11-02T09:59:59.999Z', {}],
  ['lead_registered', 'B', '2026-11-02T10:00:00Z', { company: 'Acme' }],
  ['content_consumed', 'B', '2026-11-02T10:00:00.001Z', {}],
  ['conversion_completed', 'B', '2026-11-09T10:00:00Z', { conversionType: 'trial', value: '1.25' }],
  // Exactly past seven days.
  ['lead_registered', 'C', '2026-11-02T10:00:00Z', {}],
  ['content_consumed', 'C', '2026-11-09T10:00:00.001Z', {}],
  ['conversion_completed', 'C', '2026-11-09T10:00:01Z', { conversionType: 'sale', value: '49.50' }],
  // Registers only, and after consuming.
  ['lead_registered', 'D', '2026-11-05T10:00:00Z', { company: 'Acme' }],
  ['content_consumed', 'E', '2026-11-05T10:00:00Z', {}],
  ['lead_registered', 'E', '2026-11-05T11:00:00Z', {}],
  ['conversion_completed', 'E', '2026-11-05T12:00:00Z', { conversionType: 'sale', value: '49.50' }],
  // One millisecond: in order, and out of order.
  ['lead_registered', 'F', '2026-11-06T10:00:00Z', {}],
  ['content_consumed', 'F', '2026-11-06T10:00:00Z', { contentId: 'same-ms' }],
  ['conversion_completed', 'G', '2026-11-06T10:00:00Z', { conversionType: 'sale', value: '0' }],
  ['content_consumed', 'G', '2026-11-06T10:00:00Z', { contentId: 'same-ms' }],
  ['lead_registered', 'G', '2026-11-06T10:00:00Z', {}],
]

const missing = {
  lead_registered: { email: 'a@b.example', firstName: null, lastName: null, company: null, source: null },
  webinar_attended: {},
  content_consumed: { contentId: 'C-1', contentType: 'video', consumptionTime: 60 },
  conversion_completed: { currency: 'EUR' },
} as Record<string, object>

const append = async (world: World): Promise<void> => {
  const story = new Story(world)
  await story.appendEvents(
    history.map(([type, leadId, time, data]) => ({
      type,
      time,
      data: { leadId, ...missing[type], ...data },
    })),
  )
  await using _ = story.start()
  await story.untilWhole()
}
