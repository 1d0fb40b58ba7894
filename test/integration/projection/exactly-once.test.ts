import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
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
  soleOwner,
  startProjector,
  statesOf,
} from './world.ts'

let database: Awaited<ReturnType<typeof makeDatabase>>
beforeAll(async () => {
  database = await makeDatabase(inject('parts').databaseUrl)
})
afterAll(() => database[Symbol.asyncDispose]())

let cases = 0
/** Log, names and the two projections of one case. */
const makeCase = async () => {
  const made = await makeLog()
  const names = { ledger: `ledger_${++cases}`, sales: `sales_${cases}` }
  return {
    ...made,
    pool: database.pool,
    names,
    projections: [ledger(names.ledger), sales(names.sales)],
    isApplied: async () => {
      for (const name of Object.values(names)) await applied({ ...made, pool: database.pool }, name)
    },
    expectRowsOf: async (happened: readonly Happened[]) => {
      expect(await readLedger(database.pool, names.ledger)).toEqual(expectedLedger(happened))
      expect(await readSales(database.pool, names.sales)).toEqual(expectedSales(happened))
    },
  }
}

describe('rows and position in one transaction', { timeout: 600_000 }, () => {
  it('gives the rows of a naive fold, whatever the history, the batches and the memory', async () => {
    await fc.assert(
      fc.asyncProperty(
        histories(400),
        histories(100),
        fc.constantFrom(1, 2, 7, 50, 10_000),
        fc.constantFrom(0, 3, 1_000),
        async (before, during, batchRecords, cacheRows) => {
          const at = await makeCase()
          const happened = await append(at.log, at.topic, before)
          await using _ = await startProjector({ ...at, batchRecords, cacheRows })
          for (const event of during) happened.push(...(await append(at.log, at.topic, [event])))
          await at.isApplied()
          await at.expectRowsOf(happened)
        },
      ),
      { seed: 7, numRuns: 25, endOnFailure: true },
    )
  })

  it.each(['request', 'answer'] as const)(
    'survives death at any call to Postgres, its %s lost',
    async (lost) => {
      const events = history(11, 60)
      for (let dieAt = 1; dieAt <= 40; dieAt++) {
        const at = await makeCase()
        const happened = await append(at.log, at.topic, events)
        let calls = 0
        const dying = lossyPool(at.pool, () =>
          ++calls < dieAt ? undefined : calls === dieAt ? lost : 'request',
        )
        const first = await startProjector({ ...at, pool: dying, batchRecords: 5 }).catch(() => undefined)
        if (first !== undefined) {
          await eventually(
            async () => calls,
            (seen) => seen >= dieAt,
          )
          await first[Symbol.asyncDispose]()
        }
        await using _ = await startProjector({ ...at, batchRecords: 5 })
        await at.isApplied()
        await at.expectRowsOf(happened)
      }
    },
  )

  it('goes on by itself where connections are lost again and again', async () => {
    const at = await makeCase()
    let calls = 0
    const lossy = lossyPool(at.pool, () =>
      ++calls % 7 === 0 ? (calls % 2 === 0 ? 'request' : 'answer') : undefined,
    )
    const happened: Happened[] = []
    await using projector = await eventually(
      () => startProjector({ ...at, pool: lossy, batchRecords: 10 }).catch(() => undefined),
      (started) => started !== undefined,
    )
    for (const event of history(13, 120)) happened.push(...(await append(at.log, at.topic, [event])))
    await at.isApplied()
    await at.expectRowsOf(happened)
    expect(statesOf(projector!.consumers())).not.toContain('failed')
  })

  it.each(['request', 'answer'] as const)(
    'writes the last batch again where its %s was lost and nothing comes after it',
    async (lost) => {
      const at = await makeCase()
      const lostOnce = new Set<string>()
      const lossy = lossyPool(at.pool, (sql) => {
        const table = /(?:into|update) (embudo\.\S+_1\S*)/.exec(sql)?.[1]
        if (!sql.startsWith('with expected') || table === undefined || lostOnce.has(table)) return undefined
        lostOnce.add(table)
        return lost
      })
      const happened = await append(at.log, at.topic, history(59, 30))
      await using _ = await startProjector({ ...at, pool: lossy })
      await at.isApplied()
      await at.expectRowsOf(happened)
      expect(lostOnce.size).toBe(2)
    },
  )

  it('lets two who both believe that they own a partition count nothing twice', async () => {
    const at = await makeCase()
    const happened: Happened[] = []
    await using _one = await startProjector({ ...at, membership: soleOwner('one'), batchRecords: 5 })
    await using _two = await startProjector({
      ...at,
      membership: soleOwner('two'),
      batchRecords: 3,
      cacheRows: 2,
    })
    for (const event of history(17, 200)) happened.push(...(await append(at.log, at.topic, [event])))
    await at.isApplied()
    await at.expectRowsOf(happened)
  })

  it('takes over from one who has just moved on', async () => {
    const at = await makeCase()
    const happened = await append(at.log, at.topic, history(97, 30))
    await using _one = await startProjector({ ...at, membership: soleOwner('one') })
    await at.isApplied()
    // What the one that comes has seen of the log is old by the time it raises the epoch.
    let times = 0
    const late = lossyPool(at.pool, async (sql) => {
      if (sql !== 'connect' || ++times > 8) return
      happened.push(...(await append(at.log, at.topic, history(97 + times, 12))))
      await at.isApplied()
    })
    await using two = await startProjector({ ...at, pool: late, membership: soleOwner('two') })
    await eventually(
      async () => statesOf(two.consumers()),
      (states) => states.includes('running'),
    )
    await at.isApplied()
    await at.expectRowsOf(happened)
    expect(statesOf(two.consumers())).not.toContain('failed')
  })

  it('gives each owner of a partition an epoch of its own', async () => {
    const at = await makeCase()
    await append(at.log, at.topic, history(103, 10))
    const epochs: number[] = []
    for (let start = 0; start < 3; start++) {
      await using projector = await startProjector(at)
      await eventually(
        async () => statesOf(projector.consumers()),
        (states) => states.length === 6 && states.every((state) => state === 'running'),
      )
      const { rows } = await at.pool.query(
        'select min(epoch)::integer as epoch from embudo.positions where topic = $1',
        [at.topic],
      )
      epochs.push(rows[0].epoch)
    }
    expect(epochs).toEqual([1, 2, 3])
  })

  it('hands partitions over to whoever joins and takes them back from whoever leaves', async () => {
    const at = await makeCase()
    const happened: Happened[] = []
    const say = async (events: ReturnType<typeof history>) => {
      for (const event of events) happened.push(...(await append(at.log, at.topic, [event])))
    }
    await using stays = await member(at.pool, `stays-${at.prefix}`)
    await using _one = await startProjector({ ...at, membership: stays })
    await say(history(19, 40))
    {
      await using comes = await member(at.pool, `comes-${at.prefix}`)
      await using two = await startProjector({ ...at, membership: comes })
      await say(history(23, 40))
      await eventually(
        async () => statesOf(two.consumers()),
        (states) => states.includes('running'),
      )
      await at.isApplied()
    }
    await say(history(29, 40))
    await at.isApplied()
    await at.expectRowsOf(happened)
  })
})

describe('what stands in Postgres is believed before what is remembered', () => {
  it('keeps a row that was repaired out of band under a raised epoch', async () => {
    const at = await makeCase()
    await using _ = await startProjector(at)
    const registered = {
      type: 'lead_registered',
      data: {
        leadId: 'L-1',
        email: '' as never,
        firstName: null,
        lastName: null,
        company: 'Acme',
        source: null,
      },
      time: '2026-01-01T00:00:00.000Z',
    } as const
    const attended = {
      type: 'webinar_attended',
      data: { leadId: 'L-1', webinarId: 'W-1', attendanceDuration: 5, engagementScore: null },
      time: '2026-01-02T00:00:00.000Z',
    } as const
    await append(at.log, at.topic, [registered])
    await at.isApplied()

    const repair = await at.pool.connect()
    await repair.query('begin')
    await repair.query('update embudo.positions set epoch = epoch + 1 where reader = $1', [at.names.ledger])
    await repair.query(`update embudo.${at.names.ledger}_1 set company = 'Acme Ltd'`)
    await repair.query('commit')
    repair.release()

    await append(at.log, at.topic, [attended])
    await at.isApplied()
    expect(await readLedger(at.pool, at.names.ledger)).toMatchObject([{ company: 'Acme Ltd', attended: 1 }])
  })

  it.each([
    ['and goes on', 60],
    ['also where nothing more comes', 0],
  ])(
    'reads again what Postgres lost with its tail, under a projector that runs on, %s',
    async (_how, later) => {
      const at = await makeCase()
      await using _ = await startProjector({ ...at, batchRecords: 20 })
      const happened = await append(at.log, at.topic, history(31, 60))
      await at.isApplied()
      const saved = ['ledger', 'sales'].map((kind) => `${kind}_${cases}_1`)
      for (const table of saved)
        await at.pool.query(`create table embudo.${table}_saved as table embudo.${table}`)
      await at.pool.query(
        `create table embudo.positions_saved_${cases} as select * from embudo.positions where topic = $1`,
        [at.topic],
      )
      happened.push(...(await append(at.log, at.topic, history(37, 60))))
      await at.isApplied()

      const crash = await at.pool.connect()
      await crash.query('begin')
      await crash.query(
        `update embudo.positions p set next_offset = s.next_offset, mark = s.mark from embudo.positions_saved_${cases} s
       where (p.reader, p.generation, p.topic, p.partition) = (s.reader, s.generation, s.topic, s.partition)`,
      )
      for (const table of saved) {
        await crash.query(`delete from embudo.${table}`)
        await crash.query(`insert into embudo.${table} select * from embudo.${table}_saved`)
      }
      await crash.query('commit')
      crash.release()

      happened.push(...(await append(at.log, at.topic, history(41, later))))
      await at.isApplied()
      await at.expectRowsOf(happened)
    },
  )
})

describe('a log that is not the one that was read', () => {
  const stopped = async (at: Awaited<ReturnType<typeof makeCase>>) => {
    const before = await readLedger(at.pool, at.names.ledger)
    const positions = () =>
      at.pool.query('select partition, next_offset from embudo.positions where topic = $1 order by 1', [
        at.topic,
      ])
    const stood = (await positions()).rows
    await using manager = await startProjector(at)
    const status = await eventually(
      async () => manager.consumers().flatMap((consumer) => consumer.status()),
      (all) => all.some(({ state }) => state === 'failed'),
    )
    expect(status.find(({ state }) => state === 'failed')!.error).toMatch(/is not the log that .* has read/)
    expect(await readLedger(at.pool, at.names.ledger)).toEqual(before)
    expect((await positions()).rows).toEqual(stood)
    const { rows } = await eventually(
      () =>
        at.pool.query(`select error from embudo.partition_status where topic = $1 and state = 'failed'`, [
          at.topic,
        ]),
      (answer) => answer.rows.length > 0,
    )
    expect(rows[0].error).toMatch(/rebuild/)
  }

  const projected = async () => {
    const at = await makeCase()
    await append(at.log, at.topic, history(43, 60))
    await using _ = await startProjector(at)
    await at.isApplied()
    return at
  }

  it('stops where the topic was made again and is shorter', async () => {
    const at = await projected()
    at.log.faults.recreate(at.topic)
    await stopped(at)
  })

  it('stops where the topic was made again and has grown past the position', async () => {
    const at = await projected()
    at.log.faults.recreate(at.topic)
    await append(at.log, at.topic, history(47, 200))
    await stopped(at)
  })

  it('stops where records were deleted before they were read', async () => {
    const at = await projected()
    await append(at.log, at.topic, history(53, 60))
    for (const { partition, end } of await at.log.bounds(at.topic))
      at.log.faults.trim(at.topic, partition, end)
    await stopped(at)
  })
})
