import fc from 'fast-check'
import type { Pool } from 'pg'
import { json } from '../../../src/define/columns.ts'
import type { EventDataByType, NewEvent, Personal } from '../../../src/define/event.ts'
import { addMoney } from '../../../src/define/money.ts'
import { type ReadModelDefinition, readModel } from '../../../src/define/read-model.ts'
import { max, min, sum, type TallyDefinition, tally } from '../../../src/define/tally.ts'
import { topic } from '../../../src/define/topic.ts'

/** As the project's topic, with fewer partitions and a window that histories of a test leave behind. */
export const leads = topic({ name: 'leads', subject: 'leadId', partitions: 3, duplicatesWithin: 12 })

type LeadEvent =
  | 'lead_registered'
  | 'lead_updated'
  | 'webinar_attended'
  | 'content_consumed'
  | 'conversion_completed'

export type Happened = {
  [Type in LeadEvent]: {
    readonly type: Type
    readonly id: string
    readonly data: EventDataByType[Type]
    readonly time: string
    readonly partition: number
    readonly offset: number
  }
}[LeadEvent]

/** Every kind of column; a trail of offsets shows order, doubles and gaps; some events delete the row. */
export const ledger = (name: string, version = 1): ReadModelDefinition =>
  readModel({
    name,
    version,
    topic: leads,
    columns: {
      lead_id: 'text primary key',
      email: 'personal',
      company: 'text',
      attended: 'integer not null default 0',
      seconds: 'bigint not null default 0',
      score: 'double precision',
      value: 'numeric',
      is_customer: 'boolean not null default false',
      last_at: 'timestamptz',
      trail: json<readonly number[]>('not null'),
      tags: json<Readonly<Record<string, string | null>>>(),
    },
    initial: (leadId) => ({ lead_id: leadId, attended: 0, seconds: 0, is_customer: false, trail: [] }),
    evolve: {
      lead_registered: (row, { data, time, offset }) => ({
        ...row,
        email: data.email,
        company: data.company,
        last_at: time,
        trail: [...row.trail, offset],
      }),
      lead_updated: () => null,
      webinar_attended: (row, { data, time, offset }) => ({
        ...row,
        attended: row.attended + 1,
        seconds: row.seconds + data.attendanceDuration,
        score: data.engagementScore,
        last_at: time,
        trail: [...row.trail, offset],
        tags: { ...row.tags, [data.webinarId]: row.company },
      }),
      conversion_completed: (row, { data, offset }) => ({
        ...row,
        value: addMoney(row.value ?? '0', data.value),
        is_customer: true,
        trail: [...row.trail, offset],
      }),
    },
  })

/** What is no duplicate: its id does not stand on its partition within the records before it. */
export const counting = (history: readonly Happened[]): Happened[] =>
  history.filter(
    ({ id, partition, offset }) =>
      !history.some(
        (other) =>
          other.id === id &&
          other.partition === partition &&
          other.offset < offset &&
          other.offset >= offset - leads.duplicatesWithin!,
      ),
  )

/** The same by the simplest means that there are: one loop, nothing shared with the code under test. */
export const expectedLedger = (history: readonly Happened[]): unknown[] => {
  const rows = new Map<string, ReturnType<typeof emptyRow>>()
  for (const { type, data, time, offset } of counting(history)) {
    if (type === 'content_consumed') continue
    if (type === 'lead_updated') {
      rows.delete(data.leadId)
      continue
    }
    const row = rows.get(data.leadId) ?? emptyRow(data.leadId)
    rows.set(data.leadId, row)
    row.trail.push(offset)
    if (type === 'lead_registered') {
      row.email = data.email as unknown as string
      row.company = data.company
      row.last_at = time
    } else if (type === 'webinar_attended') {
      row.attended += 1
      row.seconds = String(Number(row.seconds) + data.attendanceDuration)
      row.score = data.engagementScore
      row.last_at = time
      row.tags = { ...row.tags, [data.webinarId]: row.company }
    } else {
      row.value = cents(row.value) + cents(data.value)
      row.is_customer = true
    }
  }
  return [...rows.values()].toSorted((a, b) => byBytes(a.lead_id, b.lead_id))
}

export const readLedger = async (pool: Pool, name: string): Promise<unknown[]> => {
  const { rows } = await pool.query(`select * from public.${name} order by lead_id collate "C"`)
  return rows.map((row) => ({
    ...row,
    last_at: row.last_at?.toISOString() ?? null,
    value: row.value === null ? null : cents(row.value),
  }))
}

const emptyRow = (leadId: string) => ({
  lead_id: leadId,
  email: null as string | null,
  company: null as string | null,
  attended: 0,
  seconds: '0',
  score: null as number | null,
  value: null as number | null,
  is_customer: false,
  last_at: null as string | null,
  trail: [] as number[],
  tags: null as Record<string, string | null> | null,
})

const cents = (value: string | number | null): number =>
  typeof value === 'number' ? value : Math.round(Number(value ?? 0) * 100)

const byBytes = (left: string, right: string): number => Buffer.compare(Buffer.from(left), Buffer.from(right))

/** Rows that the leads of all partitions touch. */
export const sales = (name: string, version = 1): TallyDefinition =>
  tally({
    name,
    version,
    topic: leads,
    columns: {
      currency: 'text primary key',
      kind: 'text primary key',
      conversions: 'bigint not null default 0',
      value: 'numeric not null default 0',
      least: 'numeric',
      most: 'numeric',
      first_at: 'timestamptz',
      last_at: 'timestamptz',
    },
    measures: { conversions: sum, value: sum, least: min, most: max, first_at: min, last_at: max },
    count: {
      conversion_completed: ({ data, time }) =>
        data.conversionType === 'trial'
          ? null
          : {
              currency: data.currency,
              kind: data.conversionType,
              conversions: 1,
              value: data.value,
              least: data.value,
              most: data.value,
              first_at: time,
              last_at: time,
            },
    },
  })

export const expectedSales = (history: readonly Happened[]): unknown[] => {
  const sold = counting(history).flatMap((event) =>
    event.type === 'conversion_completed' && event.data.conversionType !== 'trial' ? [event] : [],
  )
  const groups = Map.groupBy(sold, ({ data }) => `${data.currency} ${data.conversionType}`)
  return [...groups]
    .toSorted(([left], [right]) => byBytes(left, right))
    .map(([key, group]) => {
      const values = group.map(({ data }) => cents(data.value))
      const times = group.map(({ time }) => time).toSorted()
      const [currency, kind] = key.split(' ')
      return {
        currency,
        kind,
        conversions: String(values.length),
        value: values.reduce((total, value) => total + value, 0),
        least: Math.min(...values),
        most: Math.max(...values),
        first_at: times[0],
        last_at: times.at(-1),
      }
    })
}

export const readSales = async (pool: Pool, name: string): Promise<unknown[]> => {
  const { rows } = await pool.query(
    `select * from public.${name} order by currency collate "C", kind collate "C"`,
  )
  return rows.map((row) => ({
    ...row,
    value: cents(row.value),
    least: cents(row.least),
    most: cents(row.most),
    first_at: row.first_at.toISOString(),
    last_at: row.last_at.toISOString(),
  }))
}

const leadId = fc.nat({ max: 11 }).map((n) => `L-${n}`)
const time = fc
  .integer({ min: Date.UTC(2026, 0, 1), max: Date.UTC(2026, 11, 31) })
  .map((ms) => new Date(ms).toISOString())
/** What breaks quoting, and what Postgres could take for something else. */
const text = fc.oneof(
  fc.constantFrom('', ' ', 'NULL', '"', '\\', '{a,b}', "'; drop", 'a\nb', '\u{1F600}', '\\"', '\t', 'é'),
  fc.string({ unit: 'grapheme', maxLength: 12 }).map((drawn) => drawn.replaceAll('\0', '')),
)
const money = fc.integer({ min: -5_000, max: 500_000 }).map((amount) => (amount / 100).toFixed(2))

const event: fc.Arbitrary<NewEvent> = fc.oneof(
  {
    weight: 2,
    arbitrary: fc
      .record({
        leadId,
        email: text,
        firstName: fc.constant(null),
        lastName: fc.constant(null),
        company: fc.option(text),
        source: fc.constant(null),
      })
      .map((data) => ({
        type: 'lead_registered' as const,
        data: { ...data, email: data.email as unknown as Personal<string> },
      })),
  },
  {
    weight: 1,
    arbitrary: leadId.map((id) => ({
      type: 'lead_updated' as const,
      data: { leadId: id, email: null, firstName: null, lastName: null, company: null, source: null },
    })),
  },
  {
    weight: 4,
    arbitrary: fc
      .record({
        leadId,
        webinarId: fc.constantFrom('W-1', 'W-2', '__proto__', 'W "3"'),
        attendanceDuration: fc.nat({ max: 2 ** 40 }),
        engagementScore: fc.option(fc.double({ min: 0, max: 1, noNaN: true }).map((score) => score + 0)),
      })
      .map((data) => ({ type: 'webinar_attended' as const, data })),
  },
  {
    weight: 1,
    arbitrary: leadId.map((id) => ({
      type: 'content_consumed' as const,
      data: { leadId: id, contentId: 'C-1', contentType: 'video', consumptionTime: 1 },
    })),
  },
  {
    weight: 3,
    arbitrary: fc
      .record({
        leadId,
        conversionType: fc.constantFrom('course', 'coaching', 'trial'),
        value: money,
        currency: fc.constantFrom('EUR', 'USD'),
      })
      .map((data) => ({ type: 'conversion_completed' as const, data })),
  },
)

/** Every third event or so comes under an id that others come under too: near ones, far ones, other leads'. */
const happening = fc.tuple(event, time, fc.option(fc.nat({ max: 9 }), { freq: 3 })).map(
  ([drawn, at, again]): NewEvent => ({
    ...drawn,
    time: at,
    ...(again === null ? {} : { id: `E-${again}` }),
  }),
)

export const histories = (maxLength: number): fc.Arbitrary<NewEvent[]> =>
  fc.array(happening, { maxLength, size: 'max' })

/** One history, the same every time. */
export const history = (seed: number, length: number): NewEvent[] =>
  fc.sample(fc.array(happening, { minLength: length, maxLength: length }), { seed, numRuns: 1 })[0]!
