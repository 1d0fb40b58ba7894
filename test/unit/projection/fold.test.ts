import { describe, expect, it } from 'vitest'
import leadProfile from '../../../projections/lead_profile/projection.ts'
import webinarStats from '../../../projections/webinar_stats/projection.ts'
import { leads } from '../../../schemas/leads/topic.ts'
import type { DomainEvent } from '../../../src/define/event.ts'
import { type Row, readModel } from '../../../src/define/read-model.ts'
import { max, min, sum, tally } from '../../../src/define/tally.ts'
import { countEvent, evolveRow, type KnownRow } from '../../../src/projection/postgres/fold.ts'

const happened = (type: string, data: Record<string, unknown>, more: Partial<DomainEvent> = {}) =>
  ({
    type,
    data: { leadId: 'L-1', ...data },
    subject: 'L-1',
    time: '2026-11-20T10:00:00.000Z',
    topic: 'embudo.leads',
    partition: 2,
    offset: 7,
    ...more,
  }) as DomainEvent<Record<string, unknown>>

const registered = happened('lead_registered', {
  email: 'sealed',
  firstName: null,
  lastName: null,
  company: 'Acme',
  source: 'zoom',
})
const attended = (seconds: number, more?: Partial<DomainEvent>) =>
  happened('webinar_attended', { webinarId: 'W-9', attendanceDuration: seconds, engagementScore: null }, more)
const converted = (value: string, currency = 'EUR') =>
  happened('conversion_completed', { conversionType: 'course', value, currency })

const folded = (...events: DomainEvent<Record<string, unknown>>[]): KnownRow | undefined =>
  events.reduce<KnownRow | undefined>((known, event) => evolveRow(leadProfile, known, event), undefined)

describe('a lead profile', () => {
  it('counts what a lead did and sums what it brought, by currency', () => {
    const known = folded(
      registered,
      attended(2_710),
      attended(90),
      converted('49.00'),
      converted('0.50'),
      converted('10', 'USD'),
    )
    expect(known).toMatchObject({
      stored: false,
      row: {
        company: 'Acme',
        webinars_attended: 2,
        attendance_seconds: 2_800,
        conversions: 3,
        events: 6,
        revenue: { EUR: '49.50', USD: '10.00' },
      },
    })
  })

  it('is first and last seen by when things happened, not by when they were told', () => {
    const known = folded(
      attended(1),
      attended(1, { time: '2026-01-01T00:00:00.000Z' }),
      attended(1, { time: '2026-12-01T00:00:00.000Z' }),
    )
    expect(known!.row).toMatchObject({
      first_seen_at: '2026-01-01T00:00:00.000Z',
      last_seen_at: '2026-12-01T00:00:00.000Z',
    })
  })

  it('keeps what an update does not name', () => {
    const updated = happened('lead_updated', {
      email: null,
      firstName: null,
      lastName: null,
      company: 'Umbrella',
      source: null,
    })
    expect(folded(registered, updated)!.row).toMatchObject({
      email: 'sealed',
      company: 'Umbrella',
      source: 'zoom',
    })
  })

  it('begins at the first event, whichever that is, with null where nothing is known', () => {
    expect(folded(attended(60))!.row).toMatchObject({
      lead_id: 'L-1',
      email: null,
      company: null,
      registered_at: null,
    })
  })
})

describe('one step of a fold', () => {
  it('remembers whether the table has the row', () => {
    expect(evolveRow(leadProfile, { stored: true, row: folded(registered)!.row }, attended(1)).stored).toBe(
      true,
    )
  })

  it('begins anew after a row that was deleted', () => {
    const known = evolveRow(leadProfile, { stored: true, row: null }, attended(1))
    expect(known).toMatchObject({ stored: true, row: { webinars_attended: 1, events: 1 } })
  })

  it('passes over what the model is not interested in', () => {
    const known = folded(registered)
    expect(evolveRow(leadProfile, known, happened('something_else', {}))).toBe(known)
    expect(evolveRow(leadProfile, undefined, happened('something_else', {}))).toEqual({
      stored: false,
      row: null,
    })
  })

  it('says which event it cannot apply', () => {
    expect(() => folded(converted('much'))).toThrow(
      expect.objectContaining({
        code: 'fold_failed',
        retriable: false,
        facts: expect.objectContaining({ partition: 2, offset: 7 }),
      }),
    )
  })
})

describe('a row that no table could hold', () => {
  const timed = readModel({
    name: 'timed',
    version: 1,
    topic: leads,
    columns: { lead_id: 'text primary key', at: 'timestamptz', value: 'numeric' },
    initial: (leadId) => ({ lead_id: leadId }),
    evolve: {
      lead_registered: (row, { time }) => ({ ...row, at: time }),
      conversion_completed: (row, { data }) => ({ ...row, value: data.value }),
    },
  })

  // A later event of the batch may put something else in its place: it must not depend on that.
  it.each([
    { ...registered, time: '2026-13-45T99:99:99.999Z' },
    { ...registered, time: 'yesterday' },
    converted('much'),
  ])('is refused with its event: %#', (event) => {
    expect(() => evolveRow(timed, undefined, event)).toThrow(
      expect.objectContaining({
        code: 'fold_failed',
        cause: expect.objectContaining({ code: 'row_invalid' }),
      }),
    )
  })
})

describe('a tally', () => {
  const sales = tally({
    name: 'sales',
    version: 1,
    topic: leads,
    columns: {
      currency: 'text primary key',
      kind: 'text primary key',
      value: 'numeric not null default 0',
      least: 'numeric',
      most: 'numeric',
      first: 'text',
    },
    measures: { value: sum, least: min, most: max, first: min },
    count: {
      conversion_completed: ({ data }) => ({
        currency: data.currency,
        kind: data.conversionType,
        value: data.value,
        least: data.value,
        most: data.value,
        first: data.currency,
      }),
      webinar_attended: () => null,
      content_consumed: () => ({ currency: 'EUR', kind: 'course' }),
    },
  })
  const counted = (...events: DomainEvent<Record<string, unknown>>[]) => {
    const rows = new Map<string, Row>()
    for (const event of events) countEvent(sales, ['currency', 'kind'], rows, event)
    return [...rows.values()]
  }

  it('adds to one row a key, with the partition that it was counted in', () => {
    const rows = counted(converted('9.00'), converted('10.00'), converted('1', 'USD'))
    expect(rows).toEqual([
      {
        currency: 'EUR',
        kind: 'course',
        value: '19.00',
        least: '9.00',
        most: '10.00',
        first: 'EUR',
        _partition: 2,
      },
      { currency: 'USD', kind: 'course', value: '1', least: '1', most: '1', first: 'USD', _partition: 2 },
    ])
  })

  it('takes what an event leaves out as nothing', () => {
    const consumed = happened('content_consumed', {})
    expect(counted(consumed)).toMatchObject([{ value: 0, least: null, most: null }])
    expect(counted(consumed, converted('5.00'), consumed)).toMatchObject([
      { value: '5.00', least: '5.00', most: '5.00' },
    ])
  })

  it('counts nothing where the answer is null or nobody asked', () => {
    expect(counted(attended(1), registered)).toEqual([])
  })

  it('orders text by its bytes, as Postgres does', () => {
    const columns = { webinar_id: 'text primary key', least: 'text' } as const
    const texts = tally({
      name: 't',
      version: 1,
      topic: leads,
      columns,
      measures: { least: min },
      count: { webinar_attended: ({ data }) => ({ webinar_id: 'W', least: data.webinarId }) },
    })
    const rows = new Map<string, Row>()
    for (const webinarId of ['\u{1F600}', '\uFF5E'])
      countEvent(texts, ['webinar_id'], rows, happened('webinar_attended', { webinarId }))
    expect(rows.get('W')!.least).toBe('\uFF5E')
  })

  it('knows how each webinar went', () => {
    const rows = new Map<string, Row>()
    for (const seconds of [60, 3_600, 5]) countEvent(webinarStats, ['webinar_id'], rows, attended(seconds))
    expect([...rows.values()]).toMatchObject([
      { webinar_id: 'W-9', attendances: 3, attendance_seconds: 3_665, longest_seconds: 3_600 },
    ])
  })
})
