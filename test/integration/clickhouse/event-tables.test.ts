import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { sendable } from '../../../src/define/catalog.ts'
import { framingBytes } from '../../../src/log/codec.ts'
import { Rows } from '../../../src/projection/clickhouse/container.ts'
import { sendInsert } from '../../../src/projection/clickhouse/insert.ts'
import { ensureEventTables, nameEventTables } from '../../../src/projection/clickhouse/tables.ts'
import { eventually } from '../../processes.ts'
import { catalog, codec, openWorld, Story, type World } from './sink-world.ts'

const time = '2026-11-20T10:00:00.123Z'

describe('the tables of events', () => {
  let world: World
  beforeAll(async () => {
    world = await openWorld(inject('parts'))
  })
  afterAll(async () => {
    await world[Symbol.asyncDispose]()
  })

  /** What the table has of the event, after it went through log and sink. */
  const rowOf = async (topic: string, type: string, data: Record<string, unknown>): Promise<unknown> => {
    const story = new Story(world, topic)
    await story.appendEvents([{ type, time, data }])
    await using _ = story.start()
    await story.untilWhole()
    const [row] = await world.select(`SELECT * FROM ${type} WHERE _topic = '${story.topic}'`)
    return row
  }

  it('hold an event with its metadata, and nothing personal', async () => {
    const data = {
      leadId: 'L-1',
      email: 'ada@example.com',
      firstName: 'Ada',
      lastName: null,
      company: 'Acme',
      source: null,
    }
    const row = await rowOf('leads', 'lead_registered', data)
    expect(row).toEqual({
      _subject: 'L-1',
      _time: '2026-11-20 10:00:00.123',
      _appended_at: expect.any(String),
      _event_id: expect.stringMatching(/leads:0:0$/),
      _source: expect.stringMatching(/leads$/),
      _type: 'lead_registered',
      _topic: expect.stringMatching(/leads$/),
      _partition: 0,
      _offset: 0,
      leadId: 'L-1',
      company: 'Acme',
      source: null,
    })
    expect(JSON.stringify(row)).not.toMatch(/ada/i)
  })

  it.each<[string, string, Record<string, unknown>, Record<string, unknown>]>([
    [
      'leads',
      'conversion_completed',
      { leadId: 'L-1', conversionType: 'sale', value: '9999999999.9999', currency: 'EUR' },
      { value: 9999999999.9999 },
    ],
    [
      'leads',
      'webinar_attended',
      { leadId: 'L-1', webinarId: '', attendanceDuration: 2 ** 52, engagementScore: null },
      { attendanceDuration: 2 ** 52, engagementScore: null },
    ],
    [
      'campaigns',
      'spend_recorded',
      { source: 'ads', amount: '0', currency: 'EUR', day: '1965-02-28' },
      { _subject: 'ads', day: '1965-02-28', amount: 0 },
    ],
    [
      'content',
      'content_rejected',
      { contentId: 'C', scores: { tone: 0.5, length: 1 }, reasons: ['too long', 'ä€😀'] },
      { scores: { tone: 0.5, length: 1 }, reasons: ['too long', 'ä€😀'] },
    ],
    ['content', 'content_validated', { contentId: 'C', scores: {} }, { scores: {} }],
    [
      'payments',
      'payment_failed',
      {
        paymentId: 'P',
        leadId: 'L-7',
        enrollmentId: 'E',
        amount: '-1.5',
        currency: 'EUR',
        provider: 'x',
        reason: 'no',
      },
      { _subject: 'L-7', amount: -1.5 },
    ],
  ])('hold what the event says: %s %s', async (topic, type, data, expected) => {
    expect(await rowOf(topic, type, data)).toMatchObject(expected)
  })

  it('get one part from an insert, all or nothing, however many rows it has', async () => {
    const event = catalog.events.get('webinar_attended')!
    const data = { leadId: 'L-1', webinarId: 'W', attendanceDuration: 1, engagementScore: null }
    const payload = codec.encode(event.type, data)
    const rows = new Rows()
    for (let offset = 0; offset < 200_000; offset++) {
      rows.add(
        { id: 'e', timeMs: offset, appendedAtMs: 0, source: 's', partition: 0, offset },
        payload,
        framingBytes,
      )
    }
    const position = {
      reader: 'events',
      generation: 1,
      topic: 'big.leads',
      partition: 0,
      nextOffset: 0,
      epoch: 1,
      mark: '',
    }
    await world.clickhouse.command({ query: 'SYSTEM STOP MERGES webinar_attended_g1' })
    await sendInsert(
      world.clickhouse,
      { event, parts: [{ position, rows }] },
      { prefix: 'big.', queryId: 'big' },
    )
    const parts =
      "SELECT DISTINCT _part, toUInt32(count()) AS rows FROM webinar_attended_g1 WHERE _topic = 'big.leads' GROUP BY _part"
    expect(await world.select(parts)).toEqual([{ _part: expect.any(String), rows: 200_000 }])
  })

  it('take a backfill that spans ten years in one insert', async () => {
    const story = new Story(world)
    const months = Array.from({ length: 120 }, (_, month) => new Date(Date.UTC(2016, month, 1)).toISOString())
    const data = { leadId: 'L-1', webinarId: 'W', attendanceDuration: 1, engagementScore: null }
    await story.appendEvents(months.map((at) => ({ type: 'webinar_attended', time: at, data })))
    const limits = { lingerMs: 60_000 }
    await using worker = story.start({ limits })
    await story.untilWhole()
    const written = await eventually(
      async () => worker.sink.status(),
      ({ rowsWritten }) => rowsWritten === 120,
    )
    expect(written.flushes).toBe(1)
    const years = `SELECT toUInt32(uniqExact(toYear(_time))) AS years FROM webinar_attended WHERE _topic = '${story.topic}'`
    expect(await world.select(years)).toEqual([{ years: 10 }])
  })

  it('can be made again, and while others make them', async () => {
    const start = async () => {
      await ensureEventTables(world.clickhouse, catalog, 2)
      await nameEventTables(world.clickhouse, catalog, 2)
    }
    await Promise.all([start(), start(), start()])
    const [found] = await world.select<{ tables: number }>(
      "SELECT toUInt32(count()) AS tables FROM system.tables WHERE database = currentDatabase() AND name LIKE '%\\\\_g2'",
    )
    expect(found?.tables).toBe(sendable(catalog).events.size + 1)
  })

  it('get a column back that they lack, as after a new field of a schema', async () => {
    await ensureEventTables(world.clickhouse, catalog, 3)
    await world.clickhouse.command({ query: 'ALTER TABLE lead_registered_g3 DROP COLUMN company' })
    await ensureEventTables(world.clickhouse, catalog, 3)
    expect(
      await world.select(
        "SELECT type FROM system.columns WHERE database = currentDatabase() AND table = 'lead_registered_g3' AND name = 'company'",
      ),
    ).toEqual([{ type: 'Nullable(String)' }])
  })
})
