import { Pool } from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import leadProfile from '../../../projections/lead_profile/projection.ts'
import webinarStats from '../../../projections/webinar_stats/projection.ts'
import { createTableSql, tableOf, viewSql } from '../../../src/projection/postgres/table.ts'
import type { HistoryEvent } from '../../../src/query/subject-history.ts'
import { dropDatabase } from '../../drop-database.ts'
import { startFace } from './http-face.ts'

const database = `reading_${process.pid}_${Date.now().toString(36)}`
const happened: HistoryEvent[] = [1, 2, 3].map((offset) => ({
  type: 'webinar_attended',
  id: `e-${offset}`,
  source: 'zoom',
  time: `2026-11-20T10:00:0${offset}.000Z`,
  topic: 'embudo.leads',
  partition: 0,
  offset,
  data: { leadId: 'L-00' },
}))
let admin: Pool
let pool: Pool
let face: Awaited<ReturnType<typeof startFace>>
let applied = new Map<string, number>()

beforeAll(async () => {
  const { databaseUrl } = inject('parts')
  admin = new Pool({ connectionString: databaseUrl, max: 1 })
  await admin.query(`create database ${database}`)
  pool = new Pool({
    connectionString: Object.assign(new URL(databaseUrl), { pathname: `/${database}` }).href,
    max: 4,
  })
  pool.on('error', () => {})
  await pool.query('create schema embudo')
  for (const model of [leadProfile, webinarStats]) {
    const table = tableOf(model, 1)
    await pool.query(createTableSql(model, table))
    await pool.query(viewSql(model, table))
  }
  // 30 leads: a third without a company, two currencies, counts that repeat.
  await pool.query(
    `insert into embudo.lead_profile_1 (lead_id, email, company, registered_at, webinars_attended, attendance_seconds, revenue,
       engagement_sum, engagement_count, first_seen_at, last_seen_at)
     select 'L-' || to_char(n, 'fm00'), case n when 0 then 'emb0.emb1.x' when 1 then 'emb1.sealed' else 'lead' || n || '@example.com' end,
       case when n % 3 = 0 then null else 'Company ' || n % 4 end, '2026-11-20T10:00:00Z'::timestamptz + n * interval '1 second', n % 5,
       9007199254740991, jsonb_build_object('EUR', '49.00'), n * 0.1, n % 2, '2026-11-20T10:00:00Z', '2026-11-20T10:00:00.123Z'
     from generate_series(0, 29) n`,
  )
  await pool.query(
    `insert into embudo.webinar_stats_1 (webinar_id, _partition, attendances, attendance_seconds, longest_seconds, first_attended_at)
     values ('W-1', 0, 2, 10, 7, '2026-11-20T10:00:00Z'), ('W-1', 1, 3, 20, 9, '2026-11-19T10:00:00Z'), ('W-2', 0, 1, 1, 1, null)`,
  )
  face = await startFace({ pool, history: happened, positions: () => applied, readWaitMs: 300 })
})

afterAll(async () => {
  expect(face.errors).toEqual([])
  await face[Symbol.asyncDispose]()
  await pool.end()
  await dropDatabase(admin, database)
  await admin.end()
})

type Row = Record<string, unknown>
interface Page {
  readonly items: Row[]
  readonly nextCursor: string | null
}
const get = async (path: string, headers: Record<string, string> = {}) => {
  const response = await fetch(`${face.url}${path}`, { headers })
  return { status: response.status, headers: response.headers, body: (await response.json()) as Row & Page }
}
const allPages = async (path: string): Promise<Row[]> => {
  const rows: Row[] = []
  for (let cursor: string | null = ''; cursor !== null; ) {
    const { status, body }: Awaited<ReturnType<typeof get>> = await get(
      `${path}${cursor === '' ? '' : `&cursor=${cursor}`}`,
    )
    expect(status).toBe(200)
    rows.push(...body.items)
    cursor = body.nextCursor
  }
  return rows
}

describe('read models', () => {
  it('lists them with their columns', async () => {
    const { body } = await get('/api/read-models')
    expect(body.items.map(({ name, kind }) => [name, kind])).toEqual([
      ['lead_profile', 'read model'],
      ['webinar_stats', 'tally'],
    ])
    expect(body.items[0]!.columns).toContainEqual({
      name: 'email',
      type: 'text',
      nullable: true,
      key: false,
      personal: true,
    })
  })

  it('shows a row with counts as numbers, instants in UTC and personal text opened', async () => {
    const { body } = await get('/api/read-models/lead_profile/L-00')
    expect(body).toMatchObject({
      lead_id: 'L-00',
      email: 'emb1.x',
      company: null,
      attendance_seconds: 9007199254740991,
      revenue: { EUR: '49.00' },
      registered_at: '2026-11-20T10:00:00.000Z',
      last_seen_at: '2026-11-20T10:00:00.123Z',
    })
    expect((await get('/api/read-models/lead_profile/L-01')).body.email).toBeNull()
    expect((await get('/api/read-models/lead_profile/L-99')).status).toBe(404)
    expect((await get('/api/read-models/lead_profile/%00')).status).toBe(400)
    expect((await get('/api/read-models/nothing')).body).toMatchObject({
      status: 404,
      code: 'unknown_read_model',
    })
  })

  it('combines the parts of a tally', async () => {
    const { body } = await get('/api/read-models/webinar_stats?sort=-attendances')
    expect(body.items).toMatchObject([
      {
        webinar_id: 'W-1',
        attendances: 5,
        attendance_seconds: 30,
        longest_seconds: 9,
        first_attended_at: '2026-11-19T10:00:00.000Z',
      },
      { webinar_id: 'W-2', attendances: 1, first_attended_at: null },
    ])
    expect((await get('/api/read-models/webinar_stats?attendances=1')).body.items).toHaveLength(1)
  })

  it.each([
    '',
    'lead_id',
    '-lead_id',
    'company',
    '-company',
    'webinars_attended',
    '-registered_at',
    'revenue',
    '-engagement_sum',
  ])('pages by "%s" hold every row once, in order, nulls last', async (sort) => {
    for (const limit of [1, 7, 30]) {
      const rows = await allPages(
        `/api/read-models/lead_profile?limit=${limit}${sort === '' ? '' : `&sort=${sort}`}`,
      )
      expect(new Set(rows.map(({ lead_id }) => lead_id)).size).toBe(30)
      expect(rows).toHaveLength(30)
      const column = sort.replace('-', '')
      const values = rows.map((row) => row[column || 'lead_id'])
      const known = values.filter((value) => value !== null)
      expect(values.slice(known.length).every((value) => value === null)).toBe(true)
      if (column === 'revenue') continue
      const ordered = known.toSorted((a, b) => (a! < b! ? -1 : a! > b! ? 1 : 0))
      expect(known).toEqual(sort.startsWith('-') ? ordered.reverse() : ordered)
    }
  })

  it('filters by any column that is not personal, and combines filters', async () => {
    const names = async (query: string) =>
      (await allPages(`/api/read-models/lead_profile?limit=3&${query}`)).map(({ lead_id }) => lead_id)
    expect(await names('company=Company%201&webinars_attended=1')).toEqual(['L-01'])
    expect(await names('registered_at=2026-11-20T11:00:05%2B01:00')).toEqual(['L-05'])
    expect(await names(`revenue=${encodeURIComponent('{"EUR":"49.00"}')}`)).toHaveLength(30)
    expect(await names("company=' or true --")).toEqual([])
  })

  it.each([
    ['email=x', 'unknown_column', 'email'],
    ['sort=email', 'unknown_column', 'sort'],
    ['colour=x', 'unknown_column', 'colour'],
    ['sort=lead_id;drop', 'unknown_column', 'sort'],
    ['webinars_attended=many', 'bad_parameter', 'webinars_attended'],
    ['webinars_attended=99999999999', 'bad_parameter', 'webinars_attended'],
    ['registered_at=yesterday', 'bad_parameter', 'registered_at'],
    ['registered_at=2026-02-30T10:00:00Z', 'bad_parameter', undefined],
    ['company=%00', 'bad_parameter', 'company'],
    ['revenue={', 'bad_parameter', 'revenue'],
    ['cursor=x', 'bad_cursor', 'cursor'],
    [`cursor=${Buffer.from('["a",null,"b"]').toString('base64url')}`, 'bad_cursor', 'cursor'],
    ['company[x]=1', 'bad_parameter', 'company'],
  ])('%s is a problem', async (query, code, field) => {
    const { status, body } = await get(`/api/read-models/lead_profile?${query}`)
    expect([status, body.code, body.field]).toEqual([400, code, field])
  })

  it('takes a cursor only with the filters and the order that it came with', async () => {
    const { body } = await get('/api/read-models/lead_profile?limit=2&sort=company')
    for (const query of ['sort=-company', 'sort=company&webinars_attended=1', '']) {
      expect((await get(`/api/read-models/lead_profile?${query}&cursor=${body.nextCursor}`)).body.code).toBe(
        'bad_cursor',
      )
    }
    expect((await get(`/api/read-models/webinar_stats?sort=company&cursor=${body.nextCursor}`)).status).toBe(
      400,
    )
  })
})

describe('leads', () => {
  it('have exactly the published shape', async () => {
    const { body } = await get('/api/leads/L-03')
    expect(body).toEqual({
      leadId: 'L-03',
      email: 'lead3@example.com',
      firstName: null,
      lastName: null,
      company: null,
      source: null,
      registeredAt: '2026-11-20T10:00:03.000Z',
      webinarsAttended: 3,
      attendanceSeconds: 9007199254740991,
      contentConsumed: 0,
      conversions: 0,
      revenue: { EUR: '49.00' },
      engagementScore: expect.closeTo(0.3),
      firstSeenAt: '2026-11-20T10:00:00.000Z',
      lastSeenAt: '2026-11-20T10:00:00.123Z',
    })
    expect((await get('/api/leads/L-02')).body.engagementScore).toBeNull()
    expect((await get('/api/leads/L-99')).body).toMatchObject({ status: 404, code: 'not_found' })
  })

  it('are paged, filtered and sorted under their published names', async () => {
    const rows = await allPages('/api/leads?limit=4&sort=-engagementScore&webinarsAttended=1')
    expect(rows.map(({ leadId }) => leadId)).toEqual(['L-21', 'L-11', 'L-01', 'L-06', 'L-16', 'L-26'])
    expect((await get('/api/leads?lead_id=x')).body).toMatchObject({
      status: 400,
      code: 'unknown_column',
      field: 'lead_id',
    })
  })

  it('show what happened to them, a page at a time', async () => {
    expect(await allPages('/api/leads/L-00/events?limit=2')).toEqual(happened)
    expect((await get('/api/leads/L-00/events?cursor=x')).body).toMatchObject({
      status: 400,
      code: 'bad_cursor',
    })
  })
})

describe('read your own writes', () => {
  it('waits until the model has applied the place', async () => {
    applied = new Map([['embudo.leads:3', 41]])
    const answer = get('/api/leads/L-03', { 'Embudo-Position': 'embudo.payments:0:7, embudo.leads:3:41' })
    applied = new Map([['embudo.leads:3', 42]])
    expect((await answer).status).toBe(200)
  })

  it('ends with 503 and Retry-After when the wait is over', async () => {
    applied = new Map([['embudo.leads:3', 41]])
    const { status, headers, body } = await get('/api/read-models/lead_profile', {
      'Embudo-Position': 'embudo.leads:3:41',
    })
    expect([status, headers.get('retry-after'), body.code]).toEqual([503, '1', 'position_not_reached'])
  })

  it('refuses a header that is none', async () => {
    expect((await get('/api/leads', { 'Embudo-Position': 'latest' })).body).toMatchObject({
      status: 400,
      code: 'bad_position',
    })
  })
})
