import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { ClickHouseClient } from '@clickhouse/client'
import type { Pool } from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { sendable } from '../../src/define/catalog.ts'
import { EmbudoError } from '../../src/define/error.ts'
import { catalog, codec, openWorld, Story, type World } from '../integration/clickhouse/sink-world.ts'
import { eventually, until } from '../processes.ts'

/** Promise 3: after a crash at any point every event is in ClickHouse, once. */
describe('the ClickHouse sink', () => {
  let world: World
  beforeAll(async () => {
    world = await openWorld(inject('parts'))
    // As for a worker that was stopped for longer than the deduplication window lasts: nothing leans on it.
    for (const type of sendable(catalog).events.keys()) {
      await world.clickhouse.command({
        query: `ALTER TABLE ${type}_g1 MODIFY SETTING non_replicated_deduplication_window = 0`,
      })
    }
  })
  afterAll(async () => {
    await world[Symbol.asyncDispose]()
  })

  // A take-over and two flushes of three partitions make fewer calls than this to the two stores.
  const calls = Array.from({ length: 44 }, (_, index) => index + 1)

  it.concurrent.each(calls)(
    'loses and doubles nothing when it dies before call %i to a store',
    async (call) => {
      await dieAt(world, call, 'before')
    },
  )

  it.concurrent.each(calls)(
    'loses and doubles nothing when it dies after call %i to a store, unanswered',
    async (call) => {
      await dieAt(world, call, 'after')
    },
  )

  it('finds the rows of an insert that ran though its client gave up', async () => {
    const story = new Story(world)
    await story.append(600)
    let inserts = 0
    const clickhouse = wrapped(world.clickhouse, async (name, run) => {
      const answer = await run()
      if (name === 'exec' && ++inserts <= 3) throw new Error('Timeout error.')
      return answer
    })
    await using worker = story.start({ clickhouse })
    await story.untilWhole()
    expect(worker.errors).not.toEqual([])
  })

  it('refuses an insert that arrives after its partition was taken over', async () => {
    const story = new Story(world)
    await story.append(600)
    const late: Array<() => Promise<unknown>> = []
    const clickhouse = wrapped(world.clickhouse, async (name, run) => {
      if (name !== 'exec') return run()
      late.push(run)
      throw new Error('Timeout error.')
    })
    const first = story.start({ clickhouse, stopsAtErrors: true })
    await first.ended
    await first[Symbol.asyncDispose]()
    await using _ = story.start()
    await story.untilWhole()
    expect(late.length).toBeGreaterThan(0)
    await Promise.all(late.map((run) => run()))
    await story.untilWhole()
  })

  it('waits for an insert that had begun before the fence', async () => {
    const story = new Story(world)
    await story.append(9)
    await using source = await heldSource()
    const slow = slowInsert(world, story, 0, source)
    await source.isRead
    let looks = 0
    const clickhouse = wrapped(world.clickhouse, (name, run, [asked]) => {
      if (name === 'query' && (asked as { query: string }).query.includes('system.processes')) looks++
      return run()
    })
    await using _ = story.start({ clickhouse, limits: { drainMs: 600_000 } })
    await until('it has looked again and again', () => looks > 10)
    source.end('0\n')
    await slow
    await story.untilWhole()
  })

  it('neither waits for an insert of other partitions nor ends it', async () => {
    const story = new Story(world)
    await story.append(9)
    await using source = await heldSource()
    const slow = slowInsert(world, story, 77, source)
    await source.isRead
    await using worker = story.start({ limits: { drainMs: 0 } })
    await story.untilRead()
    source.end('')
    await slow
    await story.untilWhole()
    expect(worker.errors).toEqual([])
  })

  it('stays exact when two processes believe that they own the same partitions', async () => {
    const story = new Story(world)
    await story.append(1_500)
    const limits = { maxRows: 40, lingerMs: 0 }
    await using one = story.start({ limits })
    await using other = story.start({ limits })
    await story.append(1_500)
    await story.untilWhole()
    expect([...one.errors, ...other.errors]).toContainEqual(
      expect.objectContaining({ code: 'position_moved' }),
    )
  })

  // Two take-overs of three partitions make 24 calls to ClickHouse before any insert.
  it.each(Array.from({ length: 13 }, (_, index) => index * 2))(
    'lets partitions go after %i calls to ClickHouse',
    async (call) => {
      const story = new Story(world)
      await story.append(400)
      let calls = 0
      const clickhouse = wrapped(world.clickhouse, (_, run) => {
        calls++
        return run()
      })
      const limits = { maxRows: 20, lingerMs: call % 4 === 0 ? 0 : 60_000 }
      const one = story.start({ clickhouse, limits })
      const other = story.start({ clickhouse, limits })
      await until(`${call} calls were made`, () => calls >= call)
      await Promise.all([one[Symbol.asyncDispose](), other[Symbol.asyncDispose]()])
      await using _ = story.start()
      await story.untilWhole()
    },
  )

  it('leaves no partition waiting for the room of one that was let go', async () => {
    const story = new Story(world)
    await story.appendOnce(90)
    const insertBegins = Promise.withResolvers<void>()
    const insertsMayRun = Promise.withResolvers<void>()
    const clickhouse = wrapped(world.clickhouse, async (name, run) => {
      if (name === 'exec') {
        insertBegins.resolve()
        await insertsMayRun.promise
      }
      return run()
    })
    await using worker = story.start({
      clickhouse,
      limits: { maxRows: 30, lingerMs: 60_000 },
      partitions: [],
    })
    const full = worker.own(0)
    await insertBegins.promise
    // One flush is on its way, and as much as may wait waits for the next.
    await story.appendOnce(90)
    await until('they wait', () => worker.sink.status().pendingRows === 30)
    worker.own(1)
    await until('it has both', () => worker.sink.status().partitions === 2)
    await full.letGo()
    insertsMayRun.resolve()
    await eventually(
      () => story.positions(),
      (positions) => positions.join() === '30,60',
    )
  })

  it('finds its rows again when Postgres has lost the last positions', async () => {
    const story = new Story(world)
    await story.append(900)
    await using worker = story.start()
    await story.untilWhole()
    await story.setBack(120)
    await story.append(300)
    await story.untilWhole()
    expect(worker.errors).toContainEqual(expect.objectContaining({ code: 'position_moved' }))
  })

  it('finds its rows again after positions were set back to the beginning', async () => {
    const story = new Story(world)
    await story.append(900)
    {
      await using _ = story.start()
      await story.untilWhole()
    }
    await story.setBack(0)
    await using _ = story.start()
    await story.untilWhole()
  })

  it('waits while ClickHouse is away, and catches up', async () => {
    const story = new Story(world)
    await story.append(300)
    let isAway = true
    const clickhouse = wrapped(world.clickhouse, (_, run) =>
      isAway ? Promise.reject(new Error('connect ECONNREFUSED')) : run(),
    )
    await using worker = story.start({ clickhouse })
    await until('it has tried again and again', () => worker.errors.length > 5)
    expect(await story.counts()).toEqual({ rows: 0, places: 0 })
    isAway = false
    await story.untilWhole()
  })

  // A take-over of three partitions, and the flush of what is retried.
  it.concurrent.each(Array.from({ length: 20 }, (_, index) => index * 2 + 1))(
    'applies a letter once, and accounts for it, when it dies after call %i of a retry',
    async (call) => {
      const story = new Story(world)
      await story.appendOnce(30)
      for (const partition of [0, 0, 1]) await story.appendValue(partition, truncated)
      {
        await using _ = story.start()
        await story.untilRead()
      }
      await story.retryLetters(new Map([[10, mended]]))
      {
        await using pool = world.newPool()
        const { isDead, step } = deathAt(call, 'after')
        await using first = story.start({
          clickhouse: wrapped(world.clickhouse, step),
          pool: wrappedPool(pool, step),
          stopsAtErrors: true,
        })
        const isOver = async () => isDead() || first.errors.length > 0 || (await isApplied(story))
        await until('it has died or is done', isOver)
      }
      await using _ = story.start()
      await until('it is applied', () => isApplied(story))
      expect(await story.counts()).toEqual({ rows: 32, places: 32 })
      expect(await story.accounts()).toEqual({ applied: 32, deadLettered: 1, unaccounted: 0 })
    },
  )

  it('loses nothing when Postgres is set back to a time before the fence', async () => {
    const story = new Story(world)
    await story.append(300)
    for (let takeOvers = 0; takeOvers < 3; takeOvers++) {
      await using worker = story.start()
      await until('it has all', () => worker.sink.status().partitions === 3)
      await story.untilWhole()
    }
    // The backup knows neither epochs nor positions of these partitions.
    await world.pool.query('delete from embudo.positions where topic = $1', [story.topic])
    await story.append(300)
    await using worker = story.start()
    await story.untilWhole()
    expect(worker.errors).toContainEqual(expect.objectContaining({ code: 'position_moved' }))
  })

  it('holds no more than it may while ClickHouse is away', async () => {
    const story = new Story(world)
    await story.appendOnce(3_000)
    let isAway = false
    const clickhouse = wrapped(world.clickhouse, (name, run) =>
      isAway && name === 'exec' ? Promise.reject(new Error('connect ECONNREFUSED')) : run(),
    )
    const limits = { maxRows: 200, lingerMs: 0 }
    await using worker = story.start({ clickhouse, limits })
    await until('it writes', () => worker.sink.status().flushes > 0)
    isAway = true
    for (let times = 1; times <= 5; times++) {
      await until('it has tried again', () => worker.errors.length > times)
      // A partition that finds room takes what was read with it.
      expect(worker.sink.status().pendingRows).toBeLessThanOrEqual(200 + 3 * 1_000)
    }
    isAway = false
    await story.untilWhole()
  })
})

const truncated = codec
  .encode('webinar_attended', {
    leadId: 'L-0',
    webinarId: 'W-1',
    attendanceDuration: 60,
    engagementScore: null,
  })
  .subarray(0, 12)
const mended = codec.encode('conversion_completed', {
  leadId: 'L-0',
  conversionType: 'sale',
  value: '1',
  currency: 'EUR',
})

/** Of the three letters the first of each partition was mended. */
const isApplied = async (story: Story): Promise<boolean> =>
  (await story.letters()).map(({ state }) => state).join() === 'applied,open,applied'

const dieAt = async (world: World, call: number, when: 'before' | 'after'): Promise<void> => {
  const story = new Story(world)
  await story.appendOnce(90)
  const { isDead, step } = deathAt(call, when)
  const limits = { maxRows: 45 }
  {
    // Its connections go with it.
    await using pool = world.newPool()
    await using first = story.start({
      clickhouse: wrapped(world.clickhouse, step),
      pool: wrappedPool(pool, step),
      limits,
      stopsAtErrors: true,
    })
    // What stood still for long loses a partition on its own, and makes no more calls for it.
    const isOver = () => isDead() || first.errors.length > 0 || first.sink.status().rowsWritten === 90
    await until('it has died or is done', isOver)
  }
  await using _ = story.start({ limits })
  await story.appendOnce(30)
  await story.untilWhole()
}

/** Everything that a process does from one of its calls on is not done, or nobody hears of it. */
const deathAt = (call: number, when: 'before' | 'after'): { isDead: () => boolean; step: Step } => {
  let calls = 0
  return {
    isDead: () => calls >= call,
    async step(_, run) {
      calls++
      if (calls > call || (calls === call && when === 'before')) throw dead()
      const answer = await run()
      if (calls >= call) throw dead()
      return answer
    },
  }
}

const dead = () => new EmbudoError('dead', 'this process is dead', { retriable: true })

type Step = (name: string, run: () => Promise<unknown>, given: readonly unknown[]) => Promise<unknown>

/** The client with each of its calls going through `step`; answers are read to their end, even if nobody wants them. */
const wrapped = (client: ClickHouseClient, step: Step): ClickHouseClient =>
  new Proxy(client, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name)
      if (typeof value !== 'function') return value
      return (...given: unknown[]) =>
        step(
          String(name),
          async () => {
            const answer: unknown = await value.apply(target, given)
            if (name === 'query') {
              const rows: unknown = await (answer as { json(): Promise<unknown> }).json()
              return { json: async () => rows }
            }
            if (name !== 'exec') return answer
            for await (const _ of (answer as { stream: AsyncIterable<unknown> }).stream);
            return { stream: [] }
          },
          given,
        )
    },
  })

/** The first record of a partition, by an earlier owner whose insert lasts until the test lets it end. */
const slowInsert = (
  world: World,
  story: Story,
  partition: number,
  source: { readonly url: string },
): Promise<unknown> => {
  const inserted = world.clickhouse.command({
    query:
      'INSERT INTO webinar_attended_g1 (_topic, _partition, _offset, _type) ' +
      "SELECT {topic:String}, {partition:UInt32}, place, 'webinar_attended' " +
      "FROM url({url:String}, 'TSV', 'place UInt64')",
    query_params: { topic: story.topic, partition, url: source.url },
    query_id: `embudo:events:1:${story.topic}/${partition}:slow`,
    clickhouse_settings: { http_receive_timeout: 600 },
  })
  // Whoever waits for it is told, once he does.
  inserted.catch(() => {})
  return inserted
}

/** What ClickHouse reads over HTTP, and waits for until `end` says what it is. */
const heldSource = async () => {
  const reading = Promise.withResolvers<ServerResponse>()
  const server = createServer((request, response) => {
    if (request.method === 'GET') reading.resolve(response)
    else response.end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    isRead: reading.promise,
    end: (said: string) => void reading.promise.then((response) => response.end(said)),
    async [Symbol.asyncDispose]() {
      server.close()
      server.closeAllConnections()
    },
  }
}

/** The pool with each statement, its own and of its connections, going through `step`. */
const wrappedPool = (pool: Pool, step: Step): Pool =>
  new Proxy(pool, {
    get(target, name) {
      if (name === 'query') {
        return (...given: Parameters<Pool['query']>) =>
          step('sql', () => Promise.resolve(target.query(...given)), given)
      }
      if (name !== 'connect') return Reflect.get(target, name)
      return async () => {
        const client = await target.connect()
        return new Proxy(client, {
          get(inner, key) {
            const value: unknown = Reflect.get(inner, key)
            if (key === 'query' && typeof value === 'function') {
              return (...given: unknown[]) =>
                step('sql', () => Promise.resolve(value.apply(inner, given)), given)
            }
            return typeof value === 'function' ? value.bind(inner) : value
          },
        })
      }
    },
  })
