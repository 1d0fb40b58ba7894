import { leads } from '../../schemas/leads/topic.ts'
import { json } from '../../src/define/columns.ts'
import { addMoney } from '../../src/define/money.ts'
import { readModel } from '../../src/define/read-model.ts'

type Revenue = Readonly<Record<string, string>>

/** The lead: contact, what it did, what it brought. */
export default readModel({
  name: 'lead_profile',
  version: 1,
  topic: leads,
  columns: {
    lead_id: 'text primary key',
    email: 'personal',
    first_name: 'personal',
    last_name: 'personal',
    company: 'text',
    source: 'text',
    registered_at: 'timestamptz',
    webinars_attended: 'integer not null default 0',
    attendance_seconds: 'bigint not null default 0',
    content_consumed: 'integer not null default 0',
    consumption_seconds: 'bigint not null default 0',
    conversions: 'integer not null default 0',
    revenue: json<Revenue>('not null'),
    engagement_sum: 'double precision not null default 0',
    engagement_count: 'integer not null default 0',
    events: 'bigint not null default 0',
    first_seen_at: 'timestamptz not null',
    last_seen_at: 'timestamptz not null',
  },
  initial: (leadId) => ({
    lead_id: leadId,
    webinars_attended: 0,
    attendance_seconds: 0,
    content_consumed: 0,
    consumption_seconds: 0,
    conversions: 0,
    revenue: {},
    engagement_sum: 0,
    engagement_count: 0,
    events: 0,
    first_seen_at: '9999-12-31T23:59:59.999Z',
    last_seen_at: '0001-01-01T00:00:00.000Z',
  }),
  evolve: {
    lead_registered: (row, { data, time }) => ({
      ...seen(row, time),
      email: data.email,
      first_name: data.firstName ?? row.first_name,
      last_name: data.lastName ?? row.last_name,
      company: data.company ?? row.company,
      source: data.source ?? row.source,
      registered_at: row.registered_at ?? time,
    }),
    lead_updated: (row, { data, time }) => ({
      ...seen(row, time),
      email: data.email ?? row.email,
      first_name: data.firstName ?? row.first_name,
      last_name: data.lastName ?? row.last_name,
      company: data.company ?? row.company,
      source: data.source ?? row.source,
    }),
    webinar_attended: (row, { data, time }) => ({
      ...seen(row, time),
      webinars_attended: row.webinars_attended + 1,
      attendance_seconds: row.attendance_seconds + data.attendanceDuration,
      engagement_sum: row.engagement_sum + (data.engagementScore ?? 0),
      engagement_count: row.engagement_count + (data.engagementScore === null ? 0 : 1),
    }),
    content_consumed: (row, { data, time }) => ({
      ...seen(row, time),
      content_consumed: row.content_consumed + 1,
      consumption_seconds: row.consumption_seconds + data.consumptionTime,
    }),
    conversion_completed: (row, { data, time }) => ({
      ...seen(row, time),
      conversions: row.conversions + 1,
      revenue: {
        ...row.revenue,
        [data.currency]: addMoney(row.revenue[data.currency] ?? '0', data.value),
      },
    }),
  },
})

/** Events come in the order of the log, which need not be the order in which they happened. */
const seen = <R extends { events: number; first_seen_at: string; last_seen_at: string }>(
  row: R,
  time: string,
): R => ({
  ...row,
  events: row.events + 1,
  first_seen_at: time < row.first_seen_at ? time : row.first_seen_at,
  last_seen_at: time > row.last_seen_at ? time : row.last_seen_at,
})
