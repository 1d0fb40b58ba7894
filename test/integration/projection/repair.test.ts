import { randomUUID } from 'node:crypto'
import type { Pool, PoolClient } from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { letterOf, parkLetters } from '../../../src/dead-letter/letters.ts'
import type { NewEvent } from '../../../src/define/event.ts'
import { partitionFor } from '../../../src/log/port.ts'
import { beginGeneration } from '../../../src/projection/generations.ts'
import { type RepairOf, repairProjection } from '../../../src/projection/repair.ts'
import {
  counting,
  expectedLedger,
  expectedSales,
  type Happened,
  history,
  leads,
  ledger,
  readLedger,
  readSales,
  sales,
} from './models.ts'
import {
  append,
  applied,
  codec,
  eventually,
  makeDatabase,
  makeLog,
  soleOwner,
  startProjector,
} from './world.ts'

let database: Awaited<ReturnType<typeof makeDatabase>>
beforeAll(async () => {
  database = await makeDatabase(inject('parts').databaseUrl)
})
afterAll(() => database[Symbol.asyncDispose]())

let cases = 0
/** A history that was applied: a ledger and its sales, and what an oracle makes of it. */
const makeCase = async (events: readonly NewEvent[]) => {
  const made = await makeLog()
  const { pool } = database
  const names = { ledger: `repaired_ledger_${++cases}`, sales: `repaired_sales_${cases}` }
  const projections = [ledger(names.ledger), sales(names.sales)]
  const at = { ...made, pool, projections }
  const happened = await append(at.log, at.topic, events)
  const isApplied = async () => {
    for (const name of Object.values(names)) await applied(at, name)
  }
  {
    await using _ = await startProjector(at)
    await isApplied()
  }
  return {
    ...at,
    names,
    happened,
    isApplied,
    repair: (name: string, what: RepairOf) =>
      repairProjection({ ...at, codec }, name, what, { signal: new AbortController().signal }),
    tamper: (sql: string) =>
      pool.query(
        sql.replaceAll('LEDGER', `embudo.${names.ledger}_1`).replaceAll('SALES', `embudo.${names.sales}_1`),
      ),
    epochs: async (name: string) =>
      (
        await pool.query<{ epoch: string }>(
          'select epoch from embudo.positions where reader = $1 order by partition',
          [name],
        )
      ).rows.map(({ epoch }) => Number(epoch)),
    expectRows: async () => {
      expect(await readLedger(pool, names.ledger)).toEqual(expectedLedger(happened))
      expect(await readSales(pool, names.sales)).toEqual(expectedSales(happened))
    },
  }
}

/** A pool that lets other things happen before a transaction begins, and before each of its statements. */
const atTransactions = (
  pool: Pool,
  happens: {
    readonly before: () => Promise<void>
    readonly atQuery: (sql: string, client: PoolClient) => Promise<void>
  },
): Pool => {
  const through = <T extends object>(
    target: T,
    name: 'connect' | 'query',
    work: (...input: never[]) => unknown,
  ): T =>
    new Proxy(target, {
      get(it, asked) {
        if (asked === name) return work
        const value: unknown = Reflect.get(it, asked)
        return typeof value === 'function' ? value.bind(it) : value
      },
    })
  return through(pool, 'connect', async () => {
    await happens.before()
    const client = await pool.connect()
    return through(client, 'query', async (...input: Parameters<Pool['query']>) => {
      await happens.atQuery(String(input[0]), client)
      return await client.query(...input)
    })
  })
}

const subjects = Array.from({ length: 12 }, (_, n) => `L-${n}`)

describe('a repair', () => {
  it('tells of rows that a constraint does not allow, and mends the others', async () => {
    const at = await makeCase(history(4, 200))
    const rows = (await readLedger(at.pool, at.names.ledger)) as { lead_id: string }[]
    const [refused, other] = rows.map((row) => row.lead_id) as [string, string]
    await at.tamper(`update LEDGER set seconds = -1 where lead_id in ('${refused}', '${other}')`)
    await at.tamper(`alter table LEDGER add check (lead_id <> '${refused}' or seconds < 0)`)
    expect(await at.repair(at.names.ledger, { subjects })).toMatchObject({
      changed: 1,
      failed: [{ key: refused, detail: expect.stringContaining('violates check constraint') }],
    })
    expect(await readLedger(at.pool, at.names.ledger)).toEqual(
      rows.map((row) => (row.lead_id === refused ? { ...row, seconds: '-1' } : row)),
    )
  })

  it('gives the subjects that are asked for what the log says, and leaves all others', async () => {
    const at = await makeCase(history(3, 400))
    const before = (await readLedger(at.pool, at.names.ledger)) as { lead_id: string }[]
    const [wrong, missing, kept] = before.map((row) => row.lead_id) as [string, string, string]
    await at.tamper(`update LEDGER set attended = 99, trail = '[7]', tags = null where lead_id = '${wrong}'`)
    await at.tamper(`delete from LEDGER where lead_id = '${missing}'`)
    await at.tamper(`insert into LEDGER (lead_id, trail) values ('L-nobody', '[]')`)
    await at.tamper(`update LEDGER set seconds = -1 where lead_id = '${kept}'`)

    const asked = [wrong, missing, 'L-nobody', 'L-never heard of']
    expect(await at.repair(at.names.ledger, { subjects: asked })).toEqual({
      name: at.names.ledger,
      subjects: 4,
      changed: 3,
      failed: [],
    })
    const other = expect.objectContaining({ lead_id: kept, seconds: '-1' })
    expect(await readLedger(at.pool, at.names.ledger)).toEqual(
      before.map((row) => (row.lead_id === kept ? other : row)),
    )
    expect(await at.repair(at.names.ledger, { subjects: [kept] })).toMatchObject({ changed: 1 })
    await at.expectRows()
  })

  it('disturbs nobody where there is nothing to mend', async () => {
    const at = await makeCase(history(5, 200))
    const epochs = await at.epochs(at.names.ledger)
    expect(await at.repair(at.names.ledger, { subjects })).toMatchObject({ subjects: 12, changed: 0 })
    expect(await at.epochs(at.names.ledger)).toEqual(epochs)
  })

  it("mends a tally's sums, minima and maxima from everybody's events, for the rows that the subject touched", async () => {
    const at = await makeCase(history(7, 400))
    const [sale] = counting(at.happened).filter(
      (event) => event.type === 'conversion_completed' && event.data.conversionType === 'course',
    ) as [Extract<Happened, { type: 'conversion_completed' }>]
    await at.tamper(
      `update SALES set least = -1e9, most = 1e9, value = value + 0.01, conversions = 0, first_at = '1990-01-01', last_at = null
       where currency = '${sale.data.currency}' and kind = 'course' and _partition = ${sale.partition}`,
    )
    expect(await at.repair(at.names.sales, { subjects: [sale.data.leadId] })).toMatchObject({ changed: 1 })
    await at.expectRows()
  })

  it('takes all subjects that something happened to within a time', async () => {
    const at = await makeCase(history(11, 300))
    const [from, to] = ['2026-03-01T00:00:00.000Z', '2026-03-15T00:00:00.000Z']
    const meant = new Set(
      counting(at.happened)
        .filter(({ time }) => time >= from && time < to)
        .map(({ data }) => data.leadId),
    )
    expect(meant.size).toBeGreaterThan(1)
    await at.tamper(`update LEDGER set company = 'nobody''s'`)
    expect(await at.repair(at.names.ledger, { from, to })).toMatchObject({ subjects: meant.size })
    const { rows } = await at.pool.query(
      `select lead_id from public.${at.names.ledger} where company = 'nobody''s'`,
    )
    const stored = (await readLedger(at.pool, at.names.ledger)) as { lead_id: string }[]
    expect(rows.map((row) => row.lead_id).toSorted()).toEqual(
      stored
        .map((row) => row.lead_id)
        .filter((id) => !meant.has(id))
        .toSorted(),
    )
    await at.repair(at.names.ledger, { from: '2026-01-01T00:00:00.000Z', to: '2027-01-01T00:00:00.000Z' })
    await at.expectRows()
  })

  it('finds the events of a subject that a producer with another placement has put elsewhere', async () => {
    const at = await makeCase([])
    const key = Buffer.from('L-placed')
    const elsewhere = (partitionFor(key, leads.partitions) + 1) % leads.partitions
    await at.log.append([
      {
        ...{ topic: at.topic, partition: elsewhere, key },
        value: codec.encode('webinar_attended', {
          ...{ leadId: 'L-placed', webinarId: 'W-1', attendanceDuration: 1, engagementScore: null },
        }),
        headers: [['ce_id', randomUUID()]],
      },
    ])
    {
      await using _ = await startProjector(at)
      await at.isApplied()
    }
    await at.tamper(`update LEDGER set attended = 5`)
    expect(await at.repair(at.names.ledger, { subjects: ['L-placed'] })).toMatchObject({ changed: 1 })
    const { rows } = await at.pool.query(`select attended from public.${at.names.ledger}`)
    expect(rows).toEqual([{ attended: 1 }])
  })

  it('folds a subject that waits behind a dead letter up to there, and leaves the letter', async () => {
    const at = await makeCase(history(13, 300))
    const [, , third] = counting(at.happened).filter(
      ({ type, data }) => data.leadId === 'L-3' && type !== 'content_consumed',
    ) as [Happened, Happened, Happened]
    const of = { reader: at.names.ledger, generation: 1, topic: at.topic, partition: third.partition }
    await using reader = at.log.reader()
    for await (const { records } of reader.read(
      at.topic,
      third.partition,
      third.offset,
      AbortSignal.timeout(5_000),
    )) {
      await parkLetters(at.pool, of, [letterOf(records[0]!, third.type, new Error('poison'))])
      break
    }
    await at.repair(at.names.ledger, { subjects: ['L-3', 'L-4'] })
    const isBefore = ({ data, partition, offset }: Happened) =>
      data.leadId !== 'L-3' || (partition === third.partition && offset < third.offset)
    const expected = expectedLedger(at.happened) as { lead_id: string }[]
    const upToThere = (expectedLedger(at.happened.filter(isBefore)) as { lead_id: string }[]).filter(
      (row) => row.lead_id === 'L-3',
    )
    expect(await readLedger(at.pool, at.names.ledger)).toEqual(
      expected.flatMap((row) => (row.lead_id === 'L-3' ? upToThere : [row])),
    )
    const letters = await at.pool.query('select state from embudo.dead_letters where reader = $1', [
      of.reader,
    ])
    expect(letters.rows).toEqual([{ state: 'open' }])
  })

  it('applies what was decided about dead letters', async () => {
    const at = await makeCase(history(17, 200))
    const mine = counting(at.happened).filter(
      ({ type, data }) => data.leadId === 'L-5' && type === 'webinar_attended',
    )
    const [discarded, edited] = mine as [Happened, Extract<Happened, { type: 'webinar_attended' }>]
    const value = codec.encode('webinar_attended', { ...edited.data, attendanceDuration: 12_345 })
    const corrections = {
      size: 2,
      of: (_reader: string, _topic: string, partition: number, offset: number) =>
        partition !== edited.partition
          ? undefined
          : offset === edited.offset
            ? { id: 'e', decision: 'edited' as const, value }
            : offset === discarded.offset
              ? { id: 'd', decision: 'discarded' as const }
              : undefined,
    }
    const parts = { ...at, codec, corrections: async () => corrections }
    await repairProjection(parts, at.names.ledger, { subjects }, { signal: new AbortController().signal })
    const corrected = at.happened.flatMap((event): Happened[] =>
      event === discarded
        ? []
        : [event === edited ? { ...edited, data: { ...edited.data, attendanceDuration: 12_345 } } : event],
    )
    expect(await readLedger(at.pool, at.names.ledger)).toEqual(expectedLedger(corrected))
  })

  it('leaves a row alone that this code cannot fold, and says so', async () => {
    const at = await makeCase(history(19, 400))
    const [model] = at.projections
    const broken = {
      ...model!,
      evolve: {
        ...(model as ReturnType<typeof ledger>).evolve,
        webinar_attended: () => {
          throw new TypeError('nothing to see')
        },
      },
    } as ReturnType<typeof ledger>
    const parts = { ...at, codec, projections: [broken] }
    const { signal } = new AbortController()
    const { failed } = await repairProjection(parts, at.names.ledger, { subjects: ['L-5'] }, { signal })
    expect(failed).toEqual([
      { key: 'L-5', code: 'fold_failed', detail: expect.stringContaining('nothing to see') },
    ])
    await at.expectRows()
  })

  it('is refused where it cannot be right', async () => {
    const at = await makeCase(history(23, 60))
    await expect(at.repair('nothing', { subjects: ['L-1'] })).rejects.toMatchObject({
      code: 'unknown_projection',
    })
    for (const partition of [0, 1, 2]) at.log.faults.trim(at.topic, partition, 1)
    await expect(at.repair(at.names.ledger, { subjects: ['L-1'] })).rejects.toMatchObject({
      code: 'log_beginning_lost',
    })
    at.log.faults.recreate(at.topic)
    await append(at.log, at.topic, history(29, 200))
    await expect(at.repair(at.names.ledger, { subjects: ['L-1'] })).rejects.toMatchObject({
      code: 'log_changed',
    })
  })

  it('mends every generation that is fed', async () => {
    const at = await makeCase(history(41, 300))
    await beginGeneration(at.pool, at.names.ledger, 1, 300)
    {
      await using _ = await startProjector(at)
      await eventually(
        async () =>
          (
            await at.pool.query(
              `select from embudo.generations where projection = $1 and state = 'previous'`,
              [at.names.ledger],
            )
          ).rowCount,
        (previous) => previous === 1,
      )
    }
    for (const generation of [1, 2]) {
      await at.pool.query(
        `update embudo.${at.names.ledger}_${generation} set attended = -1 where lead_id = 'L-5'`,
      )
    }
    expect(await at.repair(at.names.ledger, { subjects: ['L-5'] })).toMatchObject({ changed: 2 })
    await at.expectRows()
    const { rows } = await at.pool.query(
      `select count(*)::integer as differing from embudo.${at.names.ledger}_1 as a
       full join embudo.${at.names.ledger}_2 as b using (lead_id) where a is distinct from b`,
    )
    expect(rows).toEqual([{ differing: 0 }])
  })

  it('misses nothing that the projector applies between the reading and the lock, and holds it still under the lock', async () => {
    const at = await makeCase(history(43, 200))
    await using _ = await startProjector(at)
    const more = history(47, 60)
    const comes = async (events: number) =>
      void at.happened.push(...(await append(at.log, at.topic, more.splice(0, events))))
    const projectorWaits = () =>
      eventually(
        async () =>
          (
            await at.pool.query(
              `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
               and query like 'with expected%'`,
            )
          ).rowCount,
        (waiting) => waiting! > 0,
      )
    let isUnderLock = false
    const pool = atTransactions(at.pool, {
      before: async () => {
        await comes(20)
        await at.isApplied()
      },
      atQuery: async (sql, client) => {
        if (isUnderLock || sql !== 'savepoint part') return
        isUnderLock = true
        await client.query('set local idle_in_transaction_session_timeout = 0')
        await comes(40)
        await projectorWaits()
      },
    })
    await at.tamper(
      `update embudo.positions set epoch = epoch + 1 where reader = '${at.names.ledger}'; update LEDGER set attended = -5`,
    )
    const { signal } = new AbortController()
    await repairProjection({ ...at, pool, codec }, at.names.ledger, { subjects }, { signal })
    expect(isUnderLock).toBe(true)
    await at.isApplied()
    await at.expectRows()
  })

  it('loses and doubles nothing while two projectors go on under load', async () => {
    const at = await makeCase(history(31, 1_000))
    await using _one = await startProjector({ ...at, membership: soleOwner('one'), batchRecords: 7 })
    await using _two = await startProjector({ ...at, membership: soleOwner('two'), batchRecords: 11 })
    let isOver = false
    const writing = (async () => {
      for (let round = 0; !isOver; round++) {
        for (const event of history(37 + round, 1_000)) {
          if (isOver) break
          at.happened.push(...(await append(at.log, at.topic, [event])))
          await new Promise((resolve) => setTimeout(resolve, 1))
        }
      }
    })()
    const movedBy = async (records: number) => {
      const total = async () =>
        Number(
          (
            await at.pool.query('select sum(next_offset) as total from embudo.positions where reader = $1', [
              at.names.ledger,
            ])
          ).rows[0].total,
        )
      const before = await total()
      await eventually(total, (now) => now >= before + records)
    }
    try {
      for (let repairs = 0; repairs < 8; repairs++) {
        const wrong = subjects.filter((_, index) => index % 3 === repairs % 3)
        // As a repair that gets it wrong: projectors read these rows, and write them on.
        await at.tamper(
          `update embudo.positions set epoch = epoch + 1 where reader in ('${at.names.ledger}', '${at.names.sales}');
           update LEDGER set attended = attended + 1000, trail = '[]' where lead_id in ('${wrong.join("', '")}');
           update SALES set least = -1e9, value = value + 1, last_at = '2030-01-01'`,
        )
        await movedBy(30)
        expect(await at.repair(at.names.ledger, { subjects: wrong })).toMatchObject({ failed: [] })
        expect(await at.repair(at.names.sales, { subjects })).toMatchObject({ failed: [] })
      }
    } finally {
      isOver = true
      await writing
    }
    await at.isApplied()
    await at.expectRows()
  })
})
