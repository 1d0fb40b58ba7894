import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { makeFeeds } from '../../../src/consumer/feeds.ts'
import { joinMembership } from '../../../src/consumer/membership.ts'
import { noCorrections } from '../../../src/dead-letter/corrections.ts'
import { topicName } from '../../../src/define/catalog.ts'
import { eventTables } from '../../../src/define/event-tables.ts'
import { eventTablesKind } from '../../../src/projection/clickhouse/event-tables.ts'
import { liveEventTables } from '../../../src/projection/clickhouse/live-tables.ts'
import { namedGeneration } from '../../../src/projection/clickhouse/tables.ts'
import type { GenerationKind } from '../../../src/projection/generation-kind.ts'
import { ensureFirstGeneration } from '../../../src/projection/generations.ts'
import { pace } from '../../../src/projection/pace.ts'
import { eventually, until } from '../../processes.ts'
import { catalog, codec, openWorld, Story, type World } from './sink-world.ts'

const definition = eventTables({ name: 'events', version: 1 })
const logger = pino({ level: 'silent' })

describe('generations of the tables of events', () => {
  let world: World
  let story: Story
  let kind: GenerationKind
  const stack = new AsyncDisposableStack()
  beforeAll(async () => {
    world = stack.use(await openWorld(inject('parts')))
    const { pool, clickhouse } = world
    story = new Story(world)
    const { log, prefix } = story
    await log.ensureTopics(
      catalog.topics.map((topic) => ({
        topic: topicName(prefix, topic),
        ...{ partitions: story.partitions, replication: 1, settings: {} },
      })),
    )
    await story.append(300)
    const membership = stack.use(await joinMembership({ pool, worker: 'one', logger }))
    const feeds = stack.use(makeFeeds(log))
    kind = eventTablesKind(definition, {
      ...{ catalog, codec, prefix, log, feeds, pool, clickhouse, membership, logger },
      ...{ corrections: noCorrections, maxPoisonedShare: 0.5, pace: pace(), limits: { lingerMs: 0 } },
    })
    await ensureFirstGeneration(pool, 'events', 1)
    await kind.prepare(1, true)
    stack.use(await kind.start(1))
    await story.untilRead()
  })
  afterAll(() => stack.disposeAsync())

  it("read nothing that is embudo's own, and let go of what they had of it", async () => {
    const { pool, select, clickhouse } = world
    const corrections = `${story.prefix}corrections`
    const placesOf = async () => {
      const { rows } = await pool.query<{ topic: string }>('select distinct topic from embudo.positions')
      const tables = await select<{ name: string }>(
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND name LIKE 'event\\_%'",
      )
      return { topics: rows.map(({ topic }) => topic), tables }
    }
    await clickhouse.command({ query: 'CREATE TABLE event_edited_g1 (value String) ENGINE = Memory' })
    await clickhouse.command({ query: 'CREATE VIEW event_edited AS SELECT * FROM event_edited_g1' })
    await pool.query(
      `insert into embudo.positions (reader, generation, topic, partition, next_offset, origin, epoch, mark)
       values ('events', 1, $1, 0, 7, 0, 1, '')`,
      [corrections],
    )
    expect((await placesOf()).topics).toContain(corrections)
    await kind.prepare(1, true)
    const { topics, tables } = await placesOf()
    expect(topics).toContain(story.topic)
    expect(topics).not.toContain(corrections)
    expect(tables).toEqual([])
  })

  const compare = () => kind.compare(1, 2, AbortSignal.timeout(240_000))
  const change = (sql: string) =>
    world.clickhouse.command({ query: sql, clickhouse_settings: { mutations_sync: '1' } })

  it('are rebuilt beside the live one, and then equal it', async () => {
    await kind.prepare(2, false)
    stack.use(await kind.start(2))
    await story.untilRead(2)
    expect(await compare()).toEqual({ rows: 300, differences: 0, examples: [] })
    await story.append(90)
    await story.untilRead()
    await story.untilRead(2)
    expect(await compare()).toMatchObject({ rows: 390, differences: 0 })
  })

  it('are compared before the smaller of both positions', async () => {
    await world.pool.query(
      `update embudo.positions set next_offset = 0, epoch = epoch + 1 where generation = 2`,
    )
    // It reads on at once; what it has not read yet must not count as missing.
    expect(await compare()).toMatchObject({ differences: 0 })
    await story.untilRead(2)
    expect(await compare()).toMatchObject({ rows: 390, differences: 0 })
  })

  it('differ by name where one lacks a row, has it twice, or says something else', async () => {
    const { topic } = story
    await change(
      `DELETE FROM conversion_completed_g2 WHERE _topic = '${topic}' AND _partition = 1 AND _offset = 5`,
    )
    await change(
      `INSERT INTO lead_registered_g2 SELECT * FROM lead_registered_g2 WHERE _topic = '${topic}' AND _partition = 2 AND _offset = 7`,
    )
    await change(
      `ALTER TABLE webinar_attended_g2 UPDATE engagementScore = 0, webinarId = 'W-2' WHERE _topic = '${topic}' AND _partition = 0 AND _offset = 4`,
    )
    const [next] = await world.select<{ offset: string }>(
      `SELECT toString(min(_offset)) AS offset FROM lead_registered_g1 WHERE _topic = '${topic}' AND _partition = 2 AND _offset > 7`,
    )
    // A row with a field that is null.
    await change(
      `ALTER TABLE lead_registered_g2 UPDATE company = 'Other' WHERE _topic = '${topic}' AND _partition = 2 AND _offset = ${next?.offset}`,
    )
    const { differences, examples } = await compare()
    expect(differences).toBe(4)
    expect(new Map(examples.map(({ key, columns }) => [key, columns]))).toEqual(
      new Map<string, unknown>([
        [`${topic}:0:4 webinar_attended`, ['webinarId', 'engagementScore']],
        [`${topic}:1:5 conversion_completed`, expect.arrayContaining(['_offset', 'value'])],
        [`${topic}:2:${next?.offset} lead_registered`, ['company']],
        [`${topic}:2:7 lead_registered`, []],
      ]),
    )
    expect(examples.find(({ key }) => key.includes('1:5'))).toMatchObject({
      live: { value: '49.5' },
      other: null,
    })
    expect(examples.find(({ key }) => key.includes('2:7'))?.other).toHaveLength(2)
  })

  it('are read by the row that says which is live, and the plain names follow it', async () => {
    let nowMs = 0
    const tables = liveEventTables(world.pool, 'events', () => nowMs)
    expect((await tables()).all).toBe('events_g1')
    await world.pool.query(
      `insert into embudo.generations (projection, generation, version, state) values ('events', 2, 1, 'building')`,
    )
    await world.pool.query(
      `update embudo.generations set state = 'previous' where projection = 'events' and generation = 1`,
    )
    await world.pool.query(
      `update embudo.generations set state = 'live' where projection = 'events' and generation = 2`,
    )
    expect((await tables()).all).toBe('events_g1')
    nowMs = 1_000
    const live = await tables()
    expect([live.all, live.of('lead_registered')]).toEqual(['events_g2', 'lead_registered_g2'])
    await eventually(
      () => namedGeneration(world.clickhouse, catalog),
      (generation) => generation === 2,
    )
  })

  it('leave nothing when they are dropped, and a number that comes again loses no rows', async () => {
    const there = () =>
      world.select<{ name: string }>(
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND name LIKE '%\\\\_g3'",
      )
    for (let times = 0; times < 2; times++) {
      await kind.prepare(3, false)
      // Taken over twice, so that the fence is ahead of the epochs that begin anew.
      for (let starts = 0; starts < 2; starts++) {
        await using consumer = await kind.start(3)
        await until('it runs', () => consumer.status().every(({ state }) => state === 'running'))
        await story.untilRead(3)
        expect(await story.counts(3)).toEqual({ rows: 390, places: 390 })
      }
      await kind.drop(3)
      await world.pool.query('delete from embudo.positions where generation = 3')
      expect(await there()).toEqual([])
    }
  })
})
