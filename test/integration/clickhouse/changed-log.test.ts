import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { makeFeeds } from '../../../src/consumer/feeds.ts'
import { joinMembership, type Membership } from '../../../src/consumer/membership.ts'
import { noCorrections } from '../../../src/dead-letter/corrections.ts'
import { topicName } from '../../../src/define/catalog.ts'
import { eventTables } from '../../../src/define/event-tables.ts'
import { eventTablesKind } from '../../../src/projection/clickhouse/event-tables.ts'
import { pace } from '../../../src/projection/pace.ts'
import { eventually } from '../../processes.ts'
import { catalog, codec, openWorld, Story, type World } from './sink-world.ts'

const logger = pino({ level: 'silent' })

describe('the tables of events, where the log is no longer the one that was read', () => {
  let world: World
  let membership: Membership
  beforeAll(async () => {
    world = await openWorld(inject('parts'))
    membership = await joinMembership({ pool: world.pool, worker: 'one', logger })
  })
  const making = new AsyncDisposableStack()
  afterAll(async () => {
    await making.disposeAsync()
    await membership[Symbol.asyncDispose]()
    await world[Symbol.asyncDispose]()
  })

  const start = async (story: Story) => {
    const { log, prefix } = story
    const partitions = { partitions: story.partitions, replication: 1, settings: {} }
    await log.ensureTopics(
      catalog.topics.map((topic) => ({ topic: topicName(prefix, topic), ...partitions })),
    )
    const feeds = making.use(makeFeeds(log))
    const kind = eventTablesKind(eventTables({ name: 'events', version: 1 }), {
      ...{ catalog, codec, prefix, log, feeds, membership, logger, limits: { lingerMs: 0 } },
      ...{ pool: world.pool, clickhouse: world.clickhouse },
      ...{ corrections: noCorrections, maxPoisonedShare: 0.5, pace: pace() },
    })
    return await kind.start(1)
  }

  it.each<[string, (story: Story) => Promise<void>]>([
    [
      'a topic that was deleted and made again',
      async (story) => {
        story.log.faults.recreate(story.topic)
        await story.appendOnce(300)
      },
    ],
    [
      'a topic that was cut at its end',
      async (story) => {
        for (const partition of [0, 1, 2]) story.log.faults.cut(story.topic, partition, 10)
        await story.appendOnce(300)
      },
    ],
    [
      'a topic that has lost records that were never read',
      async (story) => {
        await story.appendOnce(300)
        for (const partition of [0, 1, 2]) story.log.faults.trim(story.topic, partition, 60)
      },
    ],
  ])('stop before anything is applied: %s', async (_, change) => {
    const story = new Story(world)
    await story.appendOnce(90)
    {
      await using _consumer = await start(story)
      await story.untilWhole()
    }
    await change(story)
    await using consumer = await start(story)
    const ofTopic = () => consumer.status().filter(({ topic }) => topic === story.topic)
    const failed = await eventually(
      async () => ofTopic(),
      (places) => places.map(({ state }) => state).join() === 'failed,failed,failed',
    )
    expect(failed[0]?.error).toMatch(/is not the log that events has read/)
    expect(await story.positions()).toEqual([30, 30, 30])
    expect(await story.counts()).toEqual({ rows: 90, places: 90 })
  })
})
