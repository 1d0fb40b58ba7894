import { setTimeout as delay } from 'node:timers/promises'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { type ConsumerOptions, startConsumer } from '../../../src/consumer/consumer.ts'
import { advanceBehind } from '../../../src/consumer/distinct.ts'
import { makeFeeds } from '../../../src/consumer/feeds.ts'
import { movePositions } from '../../../src/consumer/positions.ts'
import { EmbudoError } from '../../../src/define/error.ts'
import { rolledBack } from '../../../src/postgres/transaction.ts'
import { history, leads } from './models.ts'
import { append, eventually, lossyPool, makeDatabase, makeLog, soleOwner } from './world.ts'

const logger = pino({ level: 'silent' })

let database: Awaited<ReturnType<typeof makeDatabase>>
beforeAll(async () => {
  database = await makeDatabase(inject('parts').databaseUrl)
})
afterAll(() => database[Symbol.asyncDispose]())

let cases = 0
/** A reader of one's own, that does with its batches what `run` does. */
const startReader = async (run: ConsumerOptions['run'], { pool = database.pool, events = 0 } = {}) => {
  await using stack = new AsyncDisposableStack()
  const { log, prefix, topic } = await makeLog()
  await append(log, topic, history(977, events))
  const reader = `reader_${++cases}`
  const options = { reader, generation: 1, topics: [leads], run }
  const feeds = stack.use(makeFeeds(log))
  const membership = soleOwner()
  const consumer = stack.use(
    await startConsumer(options, { log, feeds, prefix, pool, membership, logger, random: () => 1 }),
  )
  const started = stack.move()
  return { consumer, reader, topic, [Symbol.asyncDispose]: () => started.disposeAsync() }
}

const untilAborted = (signal: AbortSignal): Promise<void> => delay(60_000, undefined, { signal })

describe('a partition whose reader is interrupted', () => {
  it.each(['25006', 'EMFILE', 'EPROTO'])('by %s is taken again', async (code) => {
    const interrupted = new Set<number>()
    await using at = await startReader(async ({ partition }, _, signal) => {
      if (interrupted.has(partition)) return await untilAborted(signal)
      interrupted.add(partition)
      throw Object.assign(new Error('passes'), { code })
    })
    await eventually(
      async () => at.consumer.status(),
      (all) => interrupted.size === leads.partitions && all.every(({ state }) => state === 'running'),
    )
  })

  it('again and again, and gets on in between, does not wait longer and longer', async () => {
    const times = 12
    const partitions = Array.from({ length: leads.partitions }, () => ({
      lostAt: 0,
      waitsMs: [] as number[],
    }))
    await using _ = await startReader(
      async (position, batches, signal) => {
        const partition = partitions[position.partition]!
        if (partition.lostAt > 0) partition.waitsMs.push(performance.now() - partition.lostAt)
        if (partition.waitsMs.length === times) return await untilAborted(signal)
        for await (const batch of batches) {
          const [first] = batch.records
          if (first === undefined) continue
          const one = { ...batch, records: [first], last: first }
          const to = advanceBehind([one], { applied: 1, deadLettered: 0 })
          await movePositions(database.pool, [{ position, to }])
          partition.lostAt = performance.now()
          throw new EmbudoError('lost', 'lost', { retriable: true })
        }
      },
      { events: 400 },
    )
    await eventually(
      async () => partitions,
      (all) => all.every(({ waitsMs }) => waitsMs.length === times),
    )
    // Waiting twice as long each time, the last four would be of five seconds. A slow machine makes some longer.
    for (const { waitsMs } of partitions) expect(Math.min(...waitsMs.slice(-4))).toBeLessThan(2_000)
  })

  it('for good says so, also where that could not be written at once', async () => {
    let lost = 0
    const pool = lossyPool(database.pool, (sql) =>
      sql.includes('partition_status') && lost++ < 2 * leads.partitions ? 'request' : undefined,
    )
    await using at = await startReader(
      () => Promise.reject(new EmbudoError('log_changed', 'it is another log')),
      { pool },
    )
    const told = () =>
      database.pool.query('select error from embudo.partition_status where reader = $1 and state = $2', [
        at.reader,
        'failed',
      ])
    await eventually(told, ({ rows }) => rows.length === leads.partitions)
    expect((await told()).rows[0]).toEqual({ error: 'it is another log' })
  })
})

describe('a trial', () => {
  it('leaves nothing, and gives its locks back where its process stands still', async () => {
    const { pool } = database
    await pool.query('create table tried (id integer)')
    const limit = await rolledBack(pool, async (client) => {
      await client.query('insert into tried values (1)')
      return (await client.query('show idle_in_transaction_session_timeout')).rows[0]
    })
    expect(limit).toEqual({ idle_in_transaction_session_timeout: '15s' })
    expect((await pool.query('select from tried')).rowCount).toBe(0)
  })
})
