import { leads } from '../../schemas/leads/topic.ts'
import { json } from '../../src/define/columns.ts'
import type { Personal } from '../../src/define/event.ts'
import { readModel } from '../../src/define/read-model.ts'
import { max, min, sum, tally } from '../../src/define/tally.ts'
import { topic } from '../../src/define/topic.ts'

// What must not compile. The type checker runs over this file in `make check`: an expected error that does not
// come is an error. Nothing in here is ever run.

const columns = {
  lead_id: 'text primary key',
  company: 'text',
  events: 'integer not null default 0',
} as const
const base = { name: 'x', version: 1, topic: leads, columns } as const
const initial = (leadId: string) => ({ lead_id: leadId, events: 0 })

/** What must go on compiling. */
readModel({
  ...base,
  initial,
  evolve: {
    lead_registered: (row, event) => ({ ...row, company: event.data.company, events: row.events + 1 }),
    lead_updated: () => null,
  },
})

// An event that is not on the topic.
readModel({
  ...base,
  initial,
  evolve: {
    lead_registered: (row) => row,
    // @ts-expect-error: payments, not leads
    payment_completed: (row) => row,
  },
})

// A column that does not exist.
readModel({
  ...base,
  initial,
  evolve: {
    // @ts-expect-error: comapny
    lead_registered: (row, event) => ({
      lead_id: row.lead_id,
      events: 1,
      company: null,
      comapny: event.data.company,
    }),
  },
})

// The same beside a spread, where the compiler by itself looks away.
readModel({
  ...base,
  initial,
  evolve: {
    // @ts-expect-error: comapny
    lead_registered: (row, event) => ({ ...row, comapny: event.data.company }),
  },
})

// A column of the wrong type.
readModel({
  ...base,
  initial,
  evolve: {
    // @ts-expect-error: events is a number
    lead_registered: (row) => ({ ...row, events: '1' }),
  },
})

// Null in a column that may not be null.
readModel({
  ...base,
  initial,
  evolve: {
    // @ts-expect-error: events is not null
    lead_registered: (row) => ({ ...row, events: null }),
  },
})

// A column left out.
readModel({
  ...base,
  initial,
  evolve: {
    // @ts-expect-error: events is missing
    lead_registered: (row) => ({ lead_id: row.lead_id, company: null }),
  },
})

// A field that the event does not have.
readModel({
  ...base,
  initial,
  evolve: {
    // @ts-expect-error: there is no companyName
    lead_registered: (row, event) => ({ ...row, company: event.data.companyName }),
  },
})

// A first row without a column that may not be null, or with one that does not exist.
// @ts-expect-error: events is missing
readModel({ ...base, initial: (leadId) => ({ lead_id: leadId }), evolve: {} })
// @ts-expect-error: evnets
readModel({ ...base, initial: (leadId) => ({ lead_id: leadId, events: 0, evnets: 0 }), evolve: {} })

// A key other than the topic's subject: that is a tally.
readModel({
  name: 'x',
  version: 1,
  topic: leads,
  // @ts-expect-error: the one key is lead_id
  columns: { company: 'text primary key' },
  initial: (company: string) => ({ company }),
  evolve: {},
})

// Two keys.
readModel({
  name: 'x',
  version: 1,
  topic: leads,
  // @ts-expect-error: one row a subject
  columns: { lead_id: 'text primary key', company: 'text primary key' },
  initial: (leadId: string) => ({ lead_id: leadId, company: '' }),
  evolve: {},
})

// A type that Postgres does not have.
readModel({
  name: 'x',
  version: 1,
  topic: leads,
  // @ts-expect-error: strng
  columns: { lead_id: 'text primary key', company: 'strng' },
  initial,
  evolve: {},
})

// Json of another shape.
readModel({
  name: 'x',
  version: 1,
  topic: leads,
  columns: { lead_id: 'text primary key', revenue: json<Readonly<Record<string, string>>>('not null') },
  initial: (leadId) => ({ lead_id: leadId, revenue: {} }),
  evolve: {
    // @ts-expect-error: text, not numbers
    conversion_completed: (row, event) => ({ ...row, revenue: { [event.data.currency]: 49 } }),
  },
})

// Personal data that lands where everybody reads it, or is looked into.
readModel({
  ...base,
  initial,
  evolve: {
    // @ts-expect-error: company is plain text
    lead_registered: (row, event) => ({ ...row, company: event.data.email }),
  },
})

const email = {} as Personal<string>
// @ts-expect-error: nobody reads it
export const text: string = email
// @ts-expect-error: nobody looks inside
email.toLowerCase()
// @ts-expect-error: nobody compares it
export const same: boolean = email === 'ada@example.org'
// @ts-expect-error: nobody makes it from text
export const made: Personal<string> = 'ada@example.org'

/** What must go on compiling. */
tally({
  name: 'x',
  version: 1,
  topic: leads,
  columns: { webinar_id: 'text primary key', attendances: 'bigint not null default 0', longest: 'bigint' },
  measures: { attendances: sum, longest: max },
  count: {
    webinar_attended: ({ data }) => ({ webinar_id: data.webinarId, attendances: 1 }),
    content_consumed: () => null,
  },
})

const counted = { webinar_id: 'text primary key', attendances: 'bigint not null default 0' } as const

// A personal column: the row would belong to many.
tally({
  name: 'x',
  version: 1,
  topic: leads,
  // @ts-expect-error: personal
  columns: { webinar_id: 'text primary key', email: 'personal' },
  measures: { email: max },
  count: {},
})

// The same as the key.
tally({
  name: 'x',
  version: 1,
  topic: leads,
  // @ts-expect-error: personal
  columns: { email: 'personal primary key', attendances: 'bigint not null default 0' },
  measures: { attendances: sum },
  count: {},
})

// A column without a measure, and a measure without a column.
// @ts-expect-error: attendances has none
tally({ name: 'x', version: 1, topic: leads, columns: counted, measures: {}, count: {} })
tally({
  name: 'x',
  version: 1,
  topic: leads,
  columns: counted,
  // @ts-expect-error: there is no column longest
  measures: { attendances: sum, longest: max },
  count: {},
})

// A sum of what cannot be added.
tally({
  name: 'x',
  version: 1,
  topic: leads,
  columns: { webinar_id: 'text primary key', last_at: 'timestamptz' },
  // @ts-expect-error: instants have no sum
  measures: { last_at: sum },
  count: {},
})

// A least that has to be something where there is nothing yet.
tally({
  name: 'x',
  version: 1,
  topic: leads,
  columns: { webinar_id: 'text primary key', shortest: 'bigint not null default 0' },
  // @ts-expect-error: a least of nothing is null
  measures: { shortest: min },
  count: {},
})

// A count for a measure that does not exist.
tally({
  name: 'x',
  version: 1,
  topic: leads,
  columns: counted,
  measures: { attendances: sum },
  count: {
    // @ts-expect-error: there is no column longest
    webinar_attended: ({ data }) => ({ webinar_id: data.webinarId, longest: 1 }),
  },
})

// A count without the key, or of the wrong type.
tally({
  name: 'x',
  version: 1,
  topic: leads,
  columns: counted,
  measures: { attendances: sum },
  count: {
    // @ts-expect-error: the key is missing
    content_consumed: () => ({ attendances: 1 }),
    // @ts-expect-error: attendances is a number
    lead_updated: () => ({ webinar_id: 'W-1', attendances: '1' }),
  },
})

// An event of another topic.
tally({
  name: 'x',
  version: 1,
  topic: leads,
  columns: counted,
  measures: { attendances: sum },
  count: {
    webinar_attended: () => null,
    // @ts-expect-error: payments, not leads
    payment_completed: () => null,
  },
})

// A topic that no schema is in, one whose events lack the subject, a join on a field that not all of them have.
// @ts-expect-error: no such topic
topic({ name: 'leds', subject: 'leadId', partitions: 6 })
// @ts-expect-error: no such field
topic({ name: 'leads', subject: 'userId', partitions: 6 })
// @ts-expect-error: not in every event
topic({ name: 'leads', subject: 'email', partitions: 6 })
// @ts-expect-error: not in every event
topic({ name: 'payments', subject: 'paymentId', partitions: 6, joinsOn: 'reason' })

// A key of which one value has several texts: a batch would count them apart.
tally({
  name: 'x',
  version: 1,
  topic: leads,
  // @ts-expect-error: an instant
  columns: { at: 'timestamptz primary key', events: 'bigint not null default 0' },
  measures: { events: sum },
  count: { lead_registered: (event) => ({ at: event.time, events: 1 }) },
})
