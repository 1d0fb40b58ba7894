import { describe, expect, it } from 'vitest'
import * as generated from '../../../../schemas/events.generated.ts'
import { catalogOf } from '../../../../src/define/catalog.ts'
import { type Interval, intervalStarts } from '../../../../src/query/analytics/calendar.ts'
import { funnelParameters, parseFunnel } from '../../../../src/query/analytics/funnel.ts'
import { parseTimeseries, timeseriesParameters } from '../../../../src/query/analytics/timeseries.ts'

const catalog = catalogOf(generated)
const now = Date.parse('2026-11-22T12:00:00Z')
const timeseriesOf = (query: Record<string, unknown>) =>
  parseTimeseries(timeseriesParameters.parse(query), catalog, now)
const funnelOf = (query: Record<string, unknown>) => parseFunnel(funnelParameters.parse(query), catalog, now)

const starts = (from: string, to: string, interval: Interval, tz: string) =>
  intervalStarts(Date.parse(from), Date.parse(to), interval, tz, 1_000).map((ms) =>
    new Date(ms).toISOString(),
  )

describe('intervals', () => {
  it.each<[string, string, Interval, string, string[]]>([
    [
      '2026-11-20T10:30:00Z',
      '2026-11-20T12:00:00Z',
      'hour',
      'UTC',
      ['2026-11-20T10:00:00.000Z', '2026-11-20T11:00:00.000Z'],
    ],
    ['2026-11-20T10:00:00Z', '2026-11-20T10:01:00Z', 'hour', 'Asia/Kolkata', ['2026-11-20T09:30:00.000Z']],
    [
      '2026-03-28T23:00:00Z',
      '2026-03-30T22:00:00Z',
      'day',
      'Europe/Berlin',
      ['2026-03-28T23:00:00.000Z', '2026-03-29T22:00:00.000Z'],
    ],
    [
      '2026-10-25T00:00:00Z',
      '2026-10-26T00:00:00Z',
      'day',
      'Europe/Berlin',
      ['2026-10-24T22:00:00.000Z', '2026-10-25T23:00:00.000Z'],
    ],
    [
      '2026-11-22T00:00:00Z',
      '2026-11-24T00:00:00Z',
      'week',
      'UTC',
      ['2026-11-16T00:00:00.000Z', '2026-11-23T00:00:00.000Z'],
    ],
    [
      '2026-10-22T00:00:00Z',
      '2026-10-27T00:00:00Z',
      'week',
      'Europe/Berlin',
      ['2026-10-18T22:00:00.000Z', '2026-10-25T23:00:00.000Z'],
    ],
    [
      '2026-12-31T00:00:00Z',
      '2027-01-01T00:00:01Z',
      'month',
      'UTC',
      ['2026-12-01T00:00:00.000Z', '2027-01-01T00:00:00.000Z'],
    ],
    // Midnight was leapt over: the day began at one.
    [
      '2018-11-03T12:00:00Z',
      '2018-11-04T12:00:00Z',
      'day',
      'America/Sao_Paulo',
      ['2018-11-03T03:00:00.000Z', '2018-11-04T03:00:00.000Z'],
    ],
    // The hour before midnight came twice: the day began after the second.
    [
      '2018-02-17T12:00:00Z',
      '2018-02-18T12:00:00Z',
      'day',
      'America/Sao_Paulo',
      ['2018-02-17T02:00:00.000Z', '2018-02-18T03:00:00.000Z'],
    ],
  ])('from %s to %s by %s in %s', (from, to, interval, tz, expected) => {
    expect(starts(from, to, interval, tz)).toEqual(expected)
  })

  it('are 24 hours of a day, 23 or 25 where clocks change', () => {
    const hours = (from: string, to: string) => starts(from, to, 'hour', 'Europe/Berlin').length
    expect(hours('2026-03-28T23:00:00Z', '2026-03-29T22:00:00Z')).toBe(23)
    expect(hours('2026-10-24T22:00:00Z', '2026-10-25T23:00:00Z')).toBe(25)
  })
})

describe('a question', () => {
  it('is about the last 30 days unless it says otherwise', () => {
    expect(timeseriesOf({ event: 'webinar_attended' })).toMatchObject({
      toMs: now,
      fromMs: now - 30 * 86_400_000,
    })
  })

  const refused: [() => unknown, string, RegExp][] = [
    [() => timeseriesOf({ event: 'nope' }), 'event', /webinar_attended/],
    [() => timeseriesOf({ event: 'lead_registered', by: 'email' }), 'by', /company/],
    [() => timeseriesOf({ event: 'lead_registered', where: { nope: '1' } }), 'where[nope]', /source/],
    [
      () => timeseriesOf({ event: 'webinar_attended', where: { attendanceDuration: 'x' } }),
      'where[attendanceDuration]',
      /integer/,
    ],
    [
      () => timeseriesOf({ event: 'webinar_attended', measure: 'sum:webinarId' }),
      'measure',
      /sum:attendanceDuration/,
    ],
    [
      () => timeseriesOf({ event: 'webinar_attended', measure: 'median:attendanceDuration' }),
      'measure',
      /p95:engagementScore/,
    ],
    [
      () =>
        timeseriesOf({ event: 'webinar_attended', from: '2026-11-20T10:00:00Z', to: '2026-11-20T10:00:00Z' }),
      'from',
      /before/,
    ],
    [
      () => timeseriesOf({ event: 'webinar_attended', interval: 'hour', from: '2020-01-01T00:00:00Z' }),
      'interval',
      /longer interval/,
    ],
    [() => funnelOf({ steps: 'lead_registered' }), 'steps', /2 to 10/],
    [() => funnelOf({ steps: 'lead_registered,nope' }), 'steps', /there is no event nope/],
    [() => funnelOf({ steps: 'lead_registered,webinar_attended', by: 'webinarId' }), 'by', /company/],
    [
      () => funnelOf({ steps: 'lead_registered,webinar_attended', where: { email: 'x' } }),
      'where[email]',
      /webinarId/,
    ],
  ]
  it.each(refused)('is refused by the name of its parameter (%#)', (ask, field, detail) => {
    expect(ask).toThrow(
      expect.objectContaining({
        message: expect.stringMatching(detail),
        facts: expect.objectContaining({ field }),
      }),
    )
  })

  it.each([
    { event: 'webinar_attended', from: '2026-11-20' },
    { event: 'webinar_attended', from: 'yesterday' },
    { event: 'webinar_attended', from: '0001-01-01T00:00:00Z' },
    { event: 'webinar_attended', tz: 'Europe/Atlantis' },
    { event: 'webinar_attended', tz: '+02:00' },
    { event: 'webinar_attended', interval: 'year' },
    { event: 'webinar_attended', unknown: '1' },
  ])('is refused by its form: %j', (query) => {
    expect(timeseriesParameters.safeParse(query).success).toBe(false)
  })

  it.each(['7', '0d', '-1d', '7 days', '1y'])('is refused with the window %s', (window) => {
    expect(funnelParameters.safeParse({ steps: 'a,b', window }).success).toBe(false)
  })
})
