import type { Pool } from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { beginGeneration, listGenerations } from '../../../src/projection/generations.ts'
import { switchGeneration } from '../../../src/projection/switch.ts'
import {
  expectedLedger,
  expectedSales,
  type Happened,
  history,
  ledger,
  readLedger,
  readSales,
  sales,
} from './models.ts'
import { append, applied, eventually, makeDatabase, makeLog, startProjector } from './world.ts'

let database: Awaited<ReturnType<typeof makeDatabase>>
beforeAll(async () => {
  database = await makeDatabase(inject('parts').databaseUrl)
})
afterAll(() => database[Symbol.asyncDispose]())

const generationsOf = async (name: string) =>
  (await listGenerations(database.pool)).filter(({ projection }) => projection === name)

const isLive = (name: string, generation: number) =>
  eventually(
    () => generationsOf(name),
    (all) => all.some((each) => each.generation === generation && each.state === 'live'),
  )

/** Calls it over and over beside what else goes on; ends with an answer of how often. */
const repeatedly = (work: () => Promise<void>) => {
  let stopped = false
  const done = (async () => {
    let times = 0
    for (; !stopped; times++) await work()
    return times
  })()
  // Awaited with stop: until then its failure is nobody's unhandled rejection.
  done.catch(() => {})
  return {
    stop: async () => {
      stopped = true
      return await done
    },
  }
}

/** `happens` before each statement of a transaction. */
const atQueries = (pool: Pool, happens: (sql: string) => Promise<void>): Pool => {
  const connect = async () => {
    const client = await pool.connect()
    const query = async (...input: Parameters<Pool['query']>) => {
      await happens(String(input[0]))
      return await client.query(...input)
    }
    return new Proxy(client, {
      get(it, name) {
        if (name === 'query') return query
        const value: unknown = Reflect.get(it, name)
        return typeof value === 'function' ? value.bind(it) : value
      },
    })
  }
  return { connect } as unknown as Pool
}

describe('a rebuild beside the live model', () => {
  it('shows no reader a failure, a gap or a step back, while events keep coming', async () => {
    const { pool } = database
    const { log, prefix, topic } = await makeLog()
    const projections = [ledger('ledger_live'), sales('sales_live')]
    const happened: Happened[] = await append(log, topic, history(61, 2_000))
    await using _ = await startProjector({ log, prefix, pool, projections, batchRecords: 100 })
    await applied({ log, pool, topic }, 'ledger_live')
    await applied({ log, pool, topic }, 'sales_live')

    let seen = 0
    let sold = 0
    const more = history(67, 3_000)
    const writer = repeatedly(async () => {
      happened.push(...(await append(log, topic, more.splice(0, 2))))
      await new Promise((resolve) => setTimeout(resolve, 1))
    })
    const reader = repeatedly(async () => {
      const { rows } = await pool.query('select sum(conversions)::integer as sold from public.sales_live')
      expect(rows[0].sold).toBeGreaterThanOrEqual(sold)
      sold = rows[0].sold
      const positions = await pool.query(`select max(trail::text) as last from public.ledger_live`)
      expect(positions.rows[0].last).not.toBeNull()
      seen++
    })

    for (const generation of [2, 3]) {
      for (const name of ['ledger_live', 'sales_live']) await beginGeneration(pool, name, 1, happened.length)
      for (const name of ['ledger_live', 'sales_live']) await isLive(name, generation)
    }
    await writer.stop()
    expect(await reader.stop()).toBe(seen)
    expect(seen).toBeGreaterThan(10)

    for (const name of ['ledger_live', 'sales_live']) await applied({ log, pool, topic }, name)
    expect(await readLedger(pool, 'ledger_live')).toEqual(expectedLedger(happened))
    expect(await readSales(pool, 'sales_live')).toEqual(expectedSales(happened))
  })

  it('gives the same rows, in a table of its own', async () => {
    const { pool } = database
    const { log, prefix, topic } = await makeLog()
    const happened = await append(log, topic, history(71, 300))
    await using _ = await startProjector({ log, prefix, pool, projections: [ledger('ledger_same')] })
    await applied({ log, pool, topic }, 'ledger_same')
    const before = await readLedger(pool, 'ledger_same')

    expect(await beginGeneration(pool, 'ledger_same', 1, happened.length)).toBe(2)
    await isLive('ledger_same', 2)

    expect(await readLedger(pool, 'ledger_same')).toEqual(before)
    expect((await generationsOf('ledger_same')).map(({ state }) => state)).toEqual(['previous', 'live'])
    const { rows } = await pool.query(`select pg_get_viewdef('public.ledger_same'::regclass) as view`)
    expect(rows[0].view).toContain('ledger_same_2')
  })

  it('holds the live rows still while it decides, so that a switch never goes back in time', async () => {
    const { pool } = database
    const { log, prefix, topic } = await makeLog()
    const projection = ledger('ledger_still')
    {
      await using _ = await startProjector({ log, prefix, pool, projections: [projection] })
      await append(log, topic, history(101, 30))
      await applied({ log, pool, topic }, 'ledger_still')
    }
    await beginGeneration(pool, 'ledger_still', 1, 30)
    const kind = { makeLive: () => Promise.reject(new Error('it is behind')) }
    const change = { projection: projection.name, from: 1, to: 2, kind }
    const move = `update embudo.positions set next_offset = next_offset where reader = 'ledger_still' and generation = 1`
    const moved: string[] = []
    const looking = atQueries(pool, async (sql) => {
      if (moved.length > 0 || !sql.includes('as records')) return
      const moving = pool.query(`begin; set local lock_timeout = '20ms'; ${move}; commit`)
      moved.push(
        await moving.then(
          () => 'it moves',
          (error) => error.code,
        ),
      )
    })
    expect(await switchGeneration(looking, change)).toBe('behind')
    expect(moved).toEqual(['55P03'])
    expect((await generationsOf('ledger_still')).map(({ state }) => state)).toEqual(['live', 'building'])
    await pool.query(move)
  })

  it('refuses a second one while the first is under way', async () => {
    const { pool } = database
    const { log, prefix } = await makeLog()
    await using _ = await startProjector({
      log,
      prefix,
      pool,
      projections: [ledger('ledger_once')],
      everyMs: 3_600_000,
    })
    await beginGeneration(pool, 'ledger_once', 1, 0)
    await expect(beginGeneration(pool, 'ledger_once', 1, 0)).rejects.toMatchObject({
      code: 'rebuild_running',
    })
  })

  it('follows by itself where a new version of the program has another fold', async () => {
    const { pool } = database
    const { log, prefix, topic } = await makeLog()
    const happened = await append(log, topic, history(73, 200))
    {
      await using _ = await startProjector({ log, prefix, pool, projections: [ledger('ledger_new', 1)] })
      await applied({ log, pool, topic }, 'ledger_new')
    }
    await using _ = await startProjector({ log, prefix, pool, projections: [ledger('ledger_new', 2)] })
    const generations = await isLive('ledger_new', 2)
    expect(generations.map(({ version, state }) => `${version} ${state}`)).toEqual(['1 previous', '2 live'])
    expect(await readLedger(pool, 'ledger_new')).toEqual(expectedLedger(happened))
  })

  it('lets a process of the old version feed its rows until the switch, and never the new ones', async () => {
    const { pool } = database
    const { log, prefix, topic } = await makeLog()
    const happened = await append(log, topic, history(79, 100))
    await using _old = await startProjector({ log, prefix, pool, projections: [ledger('ledger_two', 1)] })
    await applied({ log, pool, topic }, 'ledger_two')
    await using _new = await startProjector({ log, prefix, pool, projections: [ledger('ledger_two', 2)] })
    happened.push(...(await append(log, topic, history(83, 100))))
    await isLive('ledger_two', 2)
    happened.push(...(await append(log, topic, history(89, 100))))
    await applied({ log, pool, topic }, 'ledger_two')
    expect(await readLedger(pool, 'ledger_two')).toEqual(expectedLedger(happened))
  })
})
