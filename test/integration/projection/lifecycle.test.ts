import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import type { ReadModelDefinition, Row } from '../../../src/define/read-model.ts'
import { passThrough } from '../../../src/privacy/pass-through.ts'
import { listGenerations } from '../../../src/projection/generations.ts'
import { listingOf } from '../../../src/query/listing.ts'
import { readPage } from '../../../src/query/read-listing.ts'
import {
  expectedLedger,
  expectedSales,
  type Happened,
  histories,
  history,
  ledger,
  readLedger,
  readSales,
  sales,
} from './models.ts'
import {
  append,
  applied,
  eventually,
  lossyPool,
  makeDatabase,
  makeLog,
  member,
  onceThere,
  operator,
  showing,
  startProjector,
  told,
} from './world.ts'

let database: Awaited<ReturnType<typeof makeDatabase>>
beforeAll(async () => {
  database = await makeDatabase(inject('parts').databaseUrl)
})
afterAll(() => database[Symbol.asyncDispose]())

let cases = 0
/** A log and two projections of its own, by the version of their definitions. */
const makeCase = async () => {
  const number = ++cases
  const made = await makeLog()
  const names = { ledger: `life_ledger_${number}`, sales: `life_sales_${number}` }
  const at = { ...made, pool: database.pool, projections: [ledger(names.ledger), sales(names.sales)] }
  return {
    ...at,
    names,
    both: Object.values(names),
    operator: operator(at),
    isApplied: async () => {
      for (const name of Object.values(names)) await applied(at, name)
    },
    expectRowsOf: async (happened: readonly Happened[]) => {
      expect(await readLedger(at.pool, names.ledger)).toEqual(expectedLedger(happened))
      expect(await readSales(at.pool, names.sales)).toEqual(expectedSales(happened))
    },
    rebuildIs: (name: string, ...states: string[]) => showing(at, name).rebuildIs(...states),
    liveIs: (name: string, generation: number) => showing(at, name).liveIs(generation),
    states: async (name: string) =>
      (await listGenerations(at.pool))
        .filter(({ projection }) => projection === name)
        .map(({ generation, state }) => `${generation} ${state}`),
  }
}
type Case = Awaited<ReturnType<typeof makeCase>>

/** Goes on appending until it is stopped; a hundred at a time, each once the one before is there. */
const writing = (at: Case, happened: Happened[], events: ReturnType<typeof history>) => {
  let stopped = false
  const done = (async () => {
    while (!stopped && events.length > 0) {
      happened.push(...(await append(at.log, at.topic, events.splice(0, 2))))
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  })()
  return async () => {
    stopped = true
    await done
  }
}

const nobody = new AbortController().signal

describe('two generations compared at equal positions', () => {
  it('are equal while both are fed, and each is what a naive fold makes of the log, back and forth', async () => {
    await fc.assert(
      fc.asyncProperty(histories(300), fc.constantFrom(3, 50, 1_000), async (before, batchRecords) => {
        const at = await makeCase()
        const happened = await append(at.log, at.topic, before)
        await using _ = await startProjector({ ...at, batchRecords })
        await at.isApplied()
        for (const name of at.both) await at.operator.rebuild(name, { switchesItself: false })
        const stop = writing(at, happened, history(300 + before.length, 2_000))

        for (const name of at.both) await at.rebuildIs(name, 'caught up')
        for (const change of ['verify', 'switch', 'verify', 'rollback', 'verify', 'switch'] as const) {
          for (const name of at.both) {
            if (change !== 'verify') await onceThere(() => at.operator[change](name))
            else {
              const verified = await onceThere(() => at.operator.verify(name, nobody))
              expect(verified).toMatchObject({ differences: 0, examples: [] })
            }
          }
        }
        await stop()
        await at.isApplied()
        await at.expectRowsOf(happened)
        for (const name of at.both) {
          expect(await at.states(name)).toEqual(['1 previous', '2 live'])
          await onceThere(() => at.operator.rollback(name))
        }
        await at.isApplied()
        await at.expectRowsOf(happened)
      }),
      { seed: 11, numRuns: 6, endOnFailure: true },
    )
  }, 600_000)

  it('are brought to equal positions where one is behind, in some partitions the one and in some the other', async () => {
    const at = await makeCase()
    const happened = await append(at.log, at.topic, history(401, 200))
    {
      await using _ = await startProjector(at)
      await at.isApplied()
      for (const name of at.both) await at.operator.rebuild(name, { switchesItself: false })
      for (const name of at.both) await at.rebuildIs(name, 'caught up')
      for (const name of at.both) await at.operator.pause(name)
      await eventually(
        async () => Promise.all(at.both.map(async (name) => (await told(at, name)).rebuild?.state)),
        (states) => states.every((state) => state === 'paused'),
      )
    }
    // What the paused ones lack, and the live ones apply; then their place is taken by those.
    happened.push(...(await append(at.log, at.topic, history(402, 300))))
    {
      await using _ = await startProjector({ ...at, batchRecords: 7 })
      await at.isApplied()
    }
    for (const name of at.both) {
      const found = await at.operator.verify(name, nobody)
      expect(found).toMatchObject({ differences: 0, columns: {}, onlyLive: 0, onlyOther: 0 })
      expect(found.rows).toBeGreaterThan(3)
      expect(Object.values((found as unknown as { positions: Record<string, number> }).positions)).toEqual(
        (await at.log.bounds(at.topic)).map(({ end }) => end),
      )
    }
  })

  it('are not equal where one has lost what the other has not applied yet', async () => {
    const at = await makeCase()
    await append(at.log, at.topic, history(403, 100))
    const manager = await startProjector(at)
    await using _ = manager
    await at.isApplied()
    for (const name of at.both) await at.operator.rebuild(name, { switchesItself: false })
    for (const name of at.both) await at.rebuildIs(name, 'caught up')
    for (const name of at.both) await at.operator.pause(name)
    const { pool, names } = at
    await eventually(
      async () => manager.consumers().map(({ generation }) => generation),
      (fed) => fed.join() === '1,1',
    )
    const before = await pool.query(`select to_jsonb(t) as row from embudo.${names.ledger}_1 as t`)
    await append(at.log, at.topic, [
      {
        type: 'webinar_attended',
        time: '2026-11-20T10:00:00.000Z',
        data: { leadId: 'L-lost', webinarId: 'W-1', attendanceDuration: 5, engagementScore: null },
      },
    ])
    await at.isApplied()
    await pool.query(`delete from embudo.${names.ledger}_1 where lead_id = 'L-lost'`)
    expect((await pool.query(`select to_jsonb(t) as row from embudo.${names.ledger}_1 as t`)).rows).toEqual(
      before.rows,
    )

    const found = await at.operator.verify(names.ledger, nobody)
    expect(found).toMatchObject({ differences: 1, onlyOther: 1, examples: [{ key: 'L-lost', live: null }] })
  })

  it('differ where a row was changed by hand: the rebuild waits, until someone decides', async () => {
    const at = await makeCase()
    const happened = await append(at.log, at.topic, history(405, 400))
    await using _ = await startProjector(at)
    await at.isApplied()
    const { pool, names } = at
    const { rows } = await pool.query(
      `update embudo.${names.ledger}_1 set attended = attended + 1, email = 'a@b.example'
       where lead_id = (select min(lead_id) from embudo.${names.ledger}_1 where email <> 'a@b.example') returning lead_id, attended`,
    )
    await pool.query(`update embudo.${names.sales}_1 set value = value + 1 where currency = 'EUR'`)
    const wrongSums = (await pool.query(`select from embudo.${names.sales}_1 where currency = 'EUR'`))
      .rowCount!
    for (const name of at.both) await at.operator.rebuild(name)
    for (const name of at.both) await at.rebuildIs(name, 'differs')

    const [{ lead_id: key, attended }] = rows as [{ lead_id: string; attended: number }]
    expect(await at.operator.verify(names.ledger, nobody)).toMatchObject({
      differences: 1,
      columns: { attended: 1, email: 1 },
      examples: [
        {
          key,
          live: { attended, email: '(not shown)' },
          other: { attended: attended - 1, email: '(not shown)' },
          columns: ['email', 'attended'],
        },
      ],
    })
    expect(await at.operator.verify(names.sales, nobody)).toMatchObject({
      differences: wrongSums,
      columns: { value: wrongSums },
    })
    expect(await at.states(names.ledger)).toEqual(['1 live', '2 building'])
    for (const name of at.both)
      expect(await onceThere(() => at.operator.switch(name))).toMatchObject({ generation: 2 })
    await at.isApplied()
    await at.expectRowsOf(happened)
  })

  it('compare by value: a decimal with other zeros and JSON in another order are the same', async () => {
    const at = await makeCase()
    await append(at.log, at.topic, history(407, 300))
    await using _ = await startProjector(at)
    await at.isApplied()
    const { rowCount } = await at.pool.query(
      `update embudo.${at.names.ledger}_1 set value = value * 1.000, tags = (select jsonb_object_agg(k, v) from jsonb_each(tags) as e (k, v))
       where value is not null and tags is not null`,
    )
    expect(rowCount).toBeGreaterThan(0)
    await at.operator.rebuild(at.names.ledger)
    await at.liveIs(at.names.ledger, 2)
  })

  it('says of a difference that its subject waits behind a dead letter in one of them', async () => {
    const at = await makeCase()
    await append(at.log, at.topic, history(409, 200))
    await using _ = await startProjector(at)
    await at.isApplied()
    const { names, pool } = at
    await at.operator.rebuild(names.ledger, { switchesItself: false })
    await at.rebuildIs(names.ledger, 'caught up')
    const { rows } = await pool.query(`select lead_id from embudo.${names.ledger}_2 limit 1`)
    await pool.query(`delete from embudo.${names.ledger}_2 where lead_id = $1`, [rows[0].lead_id])
    await pool.query(
      `insert into embudo.dead_letters (reader, generation, topic, partition, "offset", subject, headers, appended_at_ms, cause)
       values ($1, 2, $2, 0, 0, $3, '{}', 0, 'poison')`,
      [names.ledger, at.topic, rows[0].lead_id],
    )
    expect(await at.operator.verify(names.ledger, nobody)).toMatchObject({
      differences: 1,
      deadLettered: 1,
      examples: [{ key: rows[0].lead_id, other: null, deadLettered: 'other' }],
    })
  })
})

describe('a new version', () => {
  /** The same with another fold, a column less and a column more. */
  const changed = (name: string): ReadModelDefinition => {
    const { columns, initial, evolve } = ledger(name)
    const { company: _company, ...kept } = columns
    const without = (row: Row | null): Row | null => {
      const { company: _, ...rest } = row ?? {}
      return row === null ? null : rest
    }
    const folds = Object.entries(evolve).map(([type, fold]) => {
      const folded: typeof fold = (row, event) => {
        const next = without(fold({ company: null, ...row }, event))
        if (next === null || type !== 'webinar_attended') return next
        return { ...next, seconds: Number(row.seconds) + 1, visits: Number(row.visits) + 1 }
      }
      return [type, folded] as const
    })
    return {
      ...ledger(name, 2),
      columns: { ...kept, visits: 'integer not null default 0' },
      initial: (subject) => ({ ...without(initial(subject)), visits: 0 }),
      evolve: Object.fromEntries(folds),
    }
  }

  it('has its differences explained by column, becomes live, and what was granted stays', async () => {
    const at = await makeCase()
    const { pool, names } = at
    await append(at.log, at.topic, history(501, 300))
    {
      await using _ = await startProjector(at)
      await at.isApplied()
    }
    const role = `reader_${randomUUID().slice(0, 8)}`
    await pool.query(`create role ${role}; grant select on public.${names.ledger} to ${role}`)
    const next = { ...at, projections: [changed(names.ledger)] }
    {
      await using _ = await startProjector(next)
      await at.liveIs(names.ledger, 2)
      expect(await told(next, names.ledger)).toMatchObject({ version: 2, rebuild: null, state: 'live' })

      const found = await operator(next).verify(names.ledger, nobody)
      const { rows } = await pool.query(
        `select count(*)::integer as attending from public.${names.ledger} where visits > 0 and seconds <> 0`,
      )
      expect(found).toMatchObject({
        live: { version: 2 },
        other: { version: 1 },
        otherColumns: ['company', 'visits'],
        onlyLive: 0,
        onlyOther: 0,
      })
      expect((found as unknown as { columns: Record<string, number> }).columns.seconds).toBeLessThanOrEqual(
        rows[0].attending,
      )
      expect(found.differences).toBeGreaterThan(0)
      expect(
        (
          await pool.query(`select has_table_privilege($1, $2, 'select') as may`, [
            role,
            `public.${names.ledger}`,
          ])
        ).rows,
      ).toEqual([{ may: true }])
    }
    await pool.query(`drop owned by ${role}; drop role ${role}`)
  })

  it('is not held against one of the old version that is behind, since nobody can fold for it', async () => {
    const at = await makeCase()
    const { names } = at
    await append(at.log, at.topic, history(503, 300))
    {
      await using _ = await startProjector(at)
      await at.isApplied()
    }
    await append(at.log, at.topic, history(504, 50))
    // Raised, and nothing else: every difference would be of the events that the old one has not seen.
    const next = { ...at, projections: [ledger(names.ledger, 2), sales(names.sales, 2)] }
    await using _ = await startProjector(next)
    for (const name of at.both) await at.liveIs(name, 2)
    const found = await operator(next).verify(names.ledger, nobody)
    expect(found).toMatchObject({ differences: 0 })
    expect((found as unknown as { notCompared: number }).notCompared).toBeGreaterThan(0)
    expect(await operator(next).verify(names.sales, nobody)).toMatchObject({ differences: 0 })
    await expect(operator(next).rollback(names.ledger)).rejects.toMatchObject({ code: 'generation_behind' })
  })

  it('that was given up is not begun again, and a process of an older version begins nothing', async () => {
    const at = await makeCase()
    const { names } = at
    await append(at.log, at.topic, history(505, 100))
    const next = { ...at, projections: [ledger(names.ledger, 2)] }
    {
      await using _ = await startProjector(at)
      await at.isApplied()
      await operator(next).rebuild(names.ledger, { switchesItself: false })
      await operator(next).drop(names.ledger, 'building')
    }
    {
      await using _ = await startProjector(next)
      await at.pool.query(
        `update embudo.generations set retired_at = now() - interval '1 minute' where projection = $1 and state = 'retired'`,
        [names.ledger],
      )
      await eventually(
        () => at.states(names.ledger),
        (states) => states.length === 1,
      )
      expect(await at.states(names.ledger)).toEqual(['1 live'])
      await operator(next).rebuild(names.ledger)
      // The number of the one that was given up is not given again.
      await at.liveIs(names.ledger, 3)
    }
    await using _ = await startProjector(at)
    await applied(at, names.sales)
    expect(await at.states(names.ledger)).toEqual(['1 previous', '3 live'])
  })
})

describe('a projection that cannot be fed', () => {
  it('is shown as failed, holds up no other, and goes on once it can', async () => {
    const at = await makeCase()
    const { pool, names } = at
    await pool.query(`create view embudo.${names.ledger}_1 as select 1 as lead_id`)
    const happened = await append(at.log, at.topic, history(701, 100))
    await using _ = await startProjector(at)
    await applied(at, names.sales)
    await eventually(
      () => told(at, names.ledger),
      ({ state, generations }) => state === 'failed' && generations[0]?.error !== null,
    )
    await pool.query(`drop view embudo.${names.ledger}_1`)
    await at.isApplied()
    await at.expectRowsOf(happened)
    await eventually(
      () => told(at, names.ledger),
      ({ state }) => state === 'live',
    )
  })
})

describe('a rebuild', () => {
  it('goes on where it was when its process was killed, as often as that happens', async () => {
    const at = await makeCase()
    const { pool, names } = at
    const happened = await append(at.log, at.topic, history(601, 1_500))
    {
      await using _ = await startProjector(at)
      await at.isApplied()
    }
    // One batch at once in each process, and the next in hours.
    await at.operator.rebuild(names.ledger, { maxPerSecond: 1 })
    const reached = async () => {
      const { rows } = await pool.query(
        `select coalesce(sum(next_offset), 0)::integer as reached from embudo.positions where reader = $1 and generation = 2`,
        [names.ledger],
      )
      return rows[0].reached as number
    }
    let last = 0
    for (let kill = 0; kill < 3; kill++) {
      let isDead = false
      const dying = lossyPool(pool, () => (isDead ? 'request' : undefined))
      await using _ = await startProjector({ ...at, pool: dying, batchRecords: 20 })
      await eventually(reached, (seen) => seen > last)
      isDead = true
      last = await reached()
    }
    expect(last).toBeLessThan(happened.length)
    await at.operator.resume(names.ledger, { maxPerSecond: null })
    await using _ = await startProjector({ ...at, batchRecords: 20 })
    await at.liveIs(names.ledger, 2)
    await at.expectRowsOf(happened)
    const { rows } = await pool.query(
      `select sum(next_offset - origin)::integer as records, sum(applied + ignored + duplicates + dead_lettered + markers)::integer as counted
       from embudo.positions where reader = $1 and generation = 2`,
      [names.ledger],
    )
    expect(rows).toEqual([{ records: happened.length, counted: happened.length }])
  })

  it('is fed by two processes, of which one comes and one goes, and is switched to once', async () => {
    const at = await makeCase()
    const { pool, names } = at
    const happened = await append(at.log, at.topic, history(613, 1_000))
    await using one = await member(pool, `one-${names.ledger}`)
    await using _one = await startProjector({ ...at, membership: one, batchRecords: 20 })
    await at.isApplied()
    const stop = writing(at, happened, history(614, 2_000))
    for (const name of at.both) await at.operator.rebuild(name, { maxPerSecond: 1 })
    {
      await using two = await member(pool, `two-${names.ledger}`)
      await using _two = await startProjector({ ...at, membership: two, batchRecords: 20 })
      for (const name of at.both) {
        await at.operator.resume(name, { maxPerSecond: null })
        await at.liveIs(name, 2)
        expect(await at.states(name)).toEqual(['1 previous', '2 live'])
      }
      for (const name of at.both) await onceThere(() => at.operator.rollback(name))
    }
    await stop()
    await at.isApplied()
    await at.expectRowsOf(happened)
    for (const name of at.both)
      expect(await at.operator.verify(name, nobody)).toMatchObject({ differences: 0 })
  })

  it('rests while it is paused, goes no faster than it may, and shows both', async () => {
    const at = await makeCase()
    const { names } = at
    const happened = await append(at.log, at.topic, history(603, 600))
    const manager = await startProjector({ ...at, batchRecords: 10 })
    await using _ = manager
    await at.isApplied()
    // The first batch of each partition at once, and the rest in hours.
    expect(await at.operator.rebuild(names.ledger, { maxPerSecond: 1 })).toMatchObject({
      ...{ generation: 2, state: 'building', maxPerSecond: 1 },
    })
    expect(await at.rebuildIs(names.ledger, 'replaying')).toMatchObject({ maxPerSecond: 1, switch: 'auto' })
    await at.operator.pause(names.ledger)
    expect(await at.rebuildIs(names.ledger, 'paused')).toMatchObject({ eventsPerSecond: 0, etaSeconds: null })
    await eventually(
      async () => manager.consumers().map(({ generation }) => generation),
      (fed) => fed.join() === '1,1',
    )
    await at.operator.resume(names.ledger, { maxPerSecond: null })
    await at.liveIs(names.ledger, 2)
    await at.isApplied()
    await at.expectRowsOf(happened)
  })

  it('of which there is none lets a pause be of what is read: it goes on being read, and falls behind', async () => {
    const at = await makeCase()
    const { names } = at
    const happened = await append(at.log, at.topic, history(605, 100))
    const manager = await startProjector(at)
    await using _ = manager
    await at.isApplied()
    expect(await at.operator.pause(names.ledger)).toMatchObject({
      generation: 1,
      state: 'live',
      paused: true,
    })
    await eventually(
      async () => manager.consumers().map(({ reader }) => reader),
      (readers) => readers.join() === names.sales,
    )
    const before = await readLedger(at.pool, names.ledger)
    happened.push(...(await append(at.log, at.topic, history(606, 100))))
    await applied(at, names.sales)
    expect(await told(at, names.ledger)).toMatchObject({ state: 'paused', lag: 100 })
    expect(await readLedger(at.pool, names.ledger)).toEqual(before)
    await at.operator.resume(names.ledger)
    await at.isApplied()
    await at.expectRowsOf(happened)
  })

  it('changes nothing for prepared statements and for pages that are being turned', async () => {
    const at = await makeCase()
    const { pool, names } = at
    await append(at.log, at.topic, history(607, 300))
    await using _ = await startProjector(at)
    await at.isApplied()
    const client = await pool.connect()
    try {
      const asked = {
        name: 'one',
        text: `select * from public.${names.ledger} where lead_id = $1`,
        values: ['L-1'],
      }
      const listing = listingOf(at.projections[0]!)
      const query = { limit: 2, sort: '-seconds', filters: {}, cursor: undefined }
      const parts = { pool: client, personal: passThrough }
      const whole = await readPage(parts, listing, { ...query, limit: 100 })
      const before = await client.query(asked)
      const items: unknown[] = []
      let cursor: string | undefined
      for (let turned = 0; turned === 0 || cursor !== undefined; turned++) {
        const page = await readPage(parts, listing, { ...query, cursor })
        items.push(...page.items)
        cursor = page.nextCursor ?? undefined
        await at.operator.rebuild(names.ledger).catch(() => {})
        if (turned < 3) await at.liveIs(names.ledger, turned + 2)
        expect((await client.query(asked)).rows).toEqual(before.rows)
      }
      expect(items).toEqual(whole.items)
    } finally {
      client.release()
    }
  })

  it('lets the previous generation go when the next begins, when asked to, and when its time is over', async () => {
    const at = await makeCase()
    const { pool, names } = at
    await append(at.log, at.topic, history(609, 50))
    const tables = async () => {
      const { rows } = await pool.query(
        `select tablename from pg_tables where schemaname = 'embudo' and tablename like $1 order by 1`,
        [`${names.ledger}_%`],
      )
      return rows.map(({ tablename }) => Number(tablename.slice(names.ledger.length + 1)))
    }
    const tablesAre = (...generations: number[]) =>
      eventually(
        async () => {
          await pool.query(
            `update embudo.generations set retired_at = now() - interval '11 seconds' where projection = $1 and state = 'retired'`,
            [names.ledger],
          )
          return await tables()
        },
        (found) => found.join() === generations.join(),
      )
    {
      await using _ = await startProjector(at)
      await at.isApplied()
      await expect(at.operator.rollback(names.ledger)).rejects.toMatchObject({ code: 'nothing_to_roll_back' })
      await at.operator.rebuild(names.ledger)
      await at.liveIs(names.ledger, 2)
      await tablesAre(1, 2)
      await at.operator.rebuild(names.ledger)
      await at.liveIs(names.ledger, 3)
      await tablesAre(2, 3)
      await at.operator.drop(names.ledger, 'previous')
      await tablesAre(3)
      await expect(at.operator.drop(names.ledger, 'previous')).rejects.toMatchObject({
        code: 'nothing_to_drop',
      })
      await at.operator.rebuild(names.ledger)
      await at.liveIs(names.ledger, 4)
    }
    await using _ = await startProjector({ ...at, keepPreviousMs: 0 })
    // Here the time that it is left for those who still write it is waited for: they would bring its positions back.
    await eventually(tables, (found) => found.join() === '4')
    await eventually(
      async () =>
        (
          await pool.query(
            `select generation from embudo.positions where reader = $1
             union select generation from embudo.partition_status where reader = $1`,
            [names.ledger],
          )
        ).rows.map(({ generation }) => generation),
      (generations) => generations.join() === '4',
    )
  })

  it('never goes back in time: a switch to one that is behind is refused', async () => {
    const at = await makeCase()
    const { names } = at
    await append(at.log, at.topic, history(611, 100))
    await using _ = await startProjector(at)
    await at.isApplied()
    await expect(at.operator.switch(names.ledger)).rejects.toMatchObject({ code: 'nothing_to_switch' })
    await expect(at.operator.verify(names.ledger, nobody)).rejects.toMatchObject({
      code: 'nothing_to_verify',
    })
    await at.operator.rebuild(names.ledger, { maxPerSecond: 1 })
    await at.operator.pause(names.ledger)
    const behind = { code: 'generation_behind' }
    await expect(at.operator.switch(names.ledger)).rejects.toMatchObject(behind)
    await expect(at.operator.verify(names.ledger, nobody)).rejects.toMatchObject(behind)
    await at.operator.resume(names.ledger, { maxPerSecond: null })
    await at.liveIs(names.ledger, 2)
    const [newer, older] = [
      { generation: 2, state: 'live' },
      { generation: 1, state: 'live' },
    ]
    expect(await onceThere(() => at.operator.switch(names.ledger))).toMatchObject(newer)
    for (const _ of ['done', 'done already'])
      expect(await onceThere(() => at.operator.rollback(names.ledger))).toMatchObject(older)
    expect(await onceThere(() => at.operator.switch(names.ledger))).toMatchObject(newer)
  })
})
