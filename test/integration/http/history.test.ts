import type { ClickHouseClient } from '@clickhouse/client'
import { afterAll, beforeAll, expect, inject, it } from 'vitest'
import { allEvents, ensureEventTables, tableName } from '../../../src/projection/clickhouse/tables.ts'
import { clickhouseHistory } from '../../../src/query/subject-history.ts'
import { clickhouseClient } from '../../clickhouse-client.ts'
import { catalog } from './http-face.ts'

const database = `history_${process.pid}_${Date.now().toString(36)}`
let admin: ClickHouseClient
let clickhouse: ClickHouseClient

beforeAll(async () => {
  const url = inject('parts').clickhouseUrl
  admin = clickhouseClient({ url })
  await admin.command({ query: `CREATE DATABASE ${database}` })
  clickhouse = clickhouseClient({ url, database })
  await ensureEventTables(clickhouse, catalog, 1)
})

afterAll(async () => {
  await clickhouse.close()
  await admin.command({ query: `DROP DATABASE ${database}` })
  await admin.close()
})

const insert = (type: string, topic: string, offset: number, time: string, data: Record<string, unknown>) =>
  clickhouse.insert({
    table: tableName(type, 1),
    format: 'JSONEachRow',
    values: [
      {
        _subject: "L'1",
        _time: time,
        _appended_at: time,
        _event_id: `e-${offset}`,
        _source: 'zoom',
        _type: type,
        _topic: topic,
        _partition: 2,
        _offset: offset,
        ...data,
      },
    ],
  })

it('all that happened to a lead, over topics, in order, with exact amounts, page by page', async () => {
  const sold = { leadId: "L'1", conversionType: 'sale', value: '49.5', currency: 'EUR' }
  await insert('conversion_completed', 'embudo.leads', 8, '2026-11-20 10:00:02.005', sold)
  await insert('webinar_attended', 'embudo.leads', 7, '2026-11-20 10:00:01.000', {
    leadId: "L'1",
    webinarId: 'W',
    attendanceDuration: '9007199254740991',
    engagementScore: null,
  })
  await insert('seat_reserved', 'embudo.enrollments', 1, '2026-11-20 10:00:02.005', {
    enrollmentId: 'E',
    leadId: "L'1",
    courseId: 'C',
  })
  const history = clickhouseHistory({
    clickhouse,
    catalog,
    tables: async () => ({ all: allEvents(1), of: (type) => tableName(type, 1) }),
  })

  const all = await history.events("L'1", undefined, 10)

  expect(all).toEqual([
    {
      type: 'webinar_attended',
      id: 'e-7',
      source: 'zoom',
      time: '2026-11-20T10:00:01.000Z',
      topic: 'embudo.leads',
      partition: 2,
      offset: 7,
      data: { leadId: "L'1", webinarId: 'W', attendanceDuration: 9007199254740991, engagementScore: null },
    },
    expect.objectContaining({
      type: 'seat_reserved',
      data: { enrollmentId: 'E', leadId: "L'1", courseId: 'C' },
    }),
    expect.objectContaining({ type: 'conversion_completed', data: { ...sold, value: '49.50' } }),
  ])
  const pages = [
    await history.events("L'1", undefined, 1),
    await history.events("L'1", all[0], 1),
    await history.events("L'1", all[1], 5),
  ]
  expect(pages.flat()).toEqual(all)
  expect(await history.events('nobody', undefined, 10)).toEqual([])
})
