import { afterAll, beforeAll, describe, expect, inject, it, vi } from 'vitest'
import { storedCounts } from '../../../src/projection/clickhouse/stored-counts.ts'
import { reconcile } from '../../../src/projection/reconcile.ts'
import { openWorld, Story, type World } from './sink-world.ts'

let world: World
beforeAll(async () => {
  world = await openWorld(inject('parts'))
})
afterAll(() => world[Symbol.asyncDispose]())

const partsOf = ({ log, topic }: Story) => ({
  ...{ log, pool: world.pool, now: () => new Date() },
  readers: [{ name: 'events', kind: 'event tables' as const, topics: [topic] }],
  countStored: storedCounts(world.clickhouse),
})

const mismatches = async (story: Story) => {
  const { items, notCounted } = await reconcile(partsOf(story))
  expect(notCounted).toBeNull()
  return items.flatMap((item) => item.mismatches.map(({ code, records }) => `${records} ${code}`))
}

const change = (query: string) =>
  world.clickhouse.command({ query, clickhouse_settings: { mutations_sync: '2', insert_deduplicate: 0 } })

const settled = async (events: number): Promise<Story> => {
  const story = new Story(world)
  await story.append(events)
  await using _ = story.start()
  await story.untilWhole()
  return story
}

describe('rows in ClickHouse, counted by themselves', () => {
  it('are as many as were applied, without duplicates', async () => {
    const story = await settled(200)
    const { items, addsUp } = await reconcile(partsOf(story))
    expect(addsUp).toBe(true)
    expect(items.reduce((sum, { stored }) => sum + stored!.offsets, 0)).toBe(200)
    expect(items.reduce((sum, { duplicates }) => sum + duplicates, 0)).toBe(29 + 3)
    expect(items.every(({ stored }) => stored!.rows === stored!.offsets)).toBe(true)
  })

  it('are in every answer while they are being written', async () => {
    const story = new Story(world)
    await story.append(10)
    await using _ = story.start()
    let isWriting = true
    const writing = (async () => {
      for (let n = 0; n < 40; n++) await story.append(20)
      isWriting = false
    })()
    let looks = 0
    for (; isWriting || looks < 5; looks++) expect(await mismatches(story)).toEqual([])
    await writing
    await story.untilWhole()
    expect(await mismatches(story)).toEqual([])
  })

  it('are missed where one is gone', async () => {
    const story = await settled(60)
    await change(
      `ALTER TABLE webinar_attended_g1 DELETE WHERE _topic = '${story.topic}' AND _partition = 0 AND _offset < 6`,
    )
    const [found] = await mismatches(story)
    expect(found).toMatch(/^[1-6] rows_missing$/)
  })

  it('are told where one is there twice', async () => {
    const story = await settled(60)
    await change(
      `INSERT INTO webinar_attended_g1 SELECT * FROM webinar_attended_g1 WHERE _topic = '${story.topic}' AND _partition = 0 ORDER BY _offset LIMIT 1`,
    )
    expect(await mismatches(story)).toEqual(['1 rows_doubled'])
  })

  it('are told where more is there than was applied', async () => {
    const story = await settled(60)
    await world.pool.query(
      `update embudo.positions set applied = applied - 1, ignored = 1 where topic = $1 and partition = 0`,
      [story.topic],
    )
    expect(await mismatches(story)).toEqual(['1 rows_unexpected'])
  })

  it('past the position are on their way', async () => {
    const story = await settled(60)
    const last = await world.pool.query<{ next_offset: string }>(
      `update embudo.positions set next_offset = 0, applied = 0, duplicates = 0 where topic = $1 and partition = 0
       returning next_offset`,
      [story.topic],
    )
    expect(last.rows).toHaveLength(1)
    expect(await mismatches(story)).toEqual([])
  })

  it('are all missing where the tables of a generation are gone', async () => {
    const story = new Story(world)
    await story.append(6)
    const { end } = (await story.log.bounds(story.topic))[0]!
    await world.pool.query(
      `insert into embudo.positions (reader, generation, topic, partition, next_offset, epoch, mark, applied)
       values ('events', 77, $1, 0, $2, 1, '', $2)`,
      [story.topic, end],
    )
    const { items } = await reconcile(partsOf(story))
    const gone = items.filter(({ generation }) => generation === 77)
    expect(gone.flatMap((item) => item.mismatches.map(({ code }) => code))).toEqual(['rows_missing'])
  })

  it('are not known while ClickHouse does not answer, and nothing is claimed of them', async () => {
    const story = await settled(20)
    const countStored = vi.fn().mockRejectedValue(new Error('connect ECONNREFUSED'))
    const found = await reconcile({ ...partsOf(story), countStored })
    expect(found.notCounted).toContain('ECONNREFUSED')
    expect(found.items.every(({ stored }) => stored === null)).toBe(true)
  })
})
