import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import type { DomainEvent } from '../../../src/define/event.ts'
import type { Row } from '../../../src/define/read-model.ts'
import type { PostgresProjection } from '../../../src/projection/definition.ts'
import { checkHistory, type HistoryCheck } from '../../../src/projection/postgres/check-history.ts'
import { counting, expectedLedger, history, ledger, sales } from './models.ts'
import { append, applied, codec, makeDatabase, makeLog, startProjector } from './world.ts'

let database: Awaited<ReturnType<typeof makeDatabase>>
beforeAll(async () => {
  database = await makeDatabase(inject('parts').databaseUrl)
})
afterAll(() => database[Symbol.asyncDispose]())

let cases = 0
/** Live rows of a ledger and its sales. */
const makeCase = async (seed: number, length = 400) => {
  const made = await makeLog()
  const { pool } = database
  const names = { ledger: `checked_ledger_${++cases}`, sales: `checked_sales_${cases}` }
  const at = { ...made, pool, projections: [ledger(names.ledger), sales(names.sales)] }
  const happened = await append(at.log, at.topic, history(seed, length))
  {
    await using _ = await startProjector(at)
    for (const name of Object.values(names)) await applied(at, name)
  }
  return { ...at, names, happened }
}

const check = async (
  { log, topic, pool }: Awaited<ReturnType<typeof makeCase>>,
  projection: PostgresProjection,
  maxRows = 1_000,
): Promise<HistoryCheck> => {
  const client = await pool.connect()
  try {
    await client.query('begin transaction isolation level repeatable read read only')
    return await checkHistory(projection, topic, {
      ...{ client, log, codec, maxRows },
      corrections: undefined,
      signal: new AbortController().signal,
      onProgress: () => {},
    })
  } finally {
    await client.query('rollback')
    client.release()
  }
}

describe('the history check', () => {
  it.each([1, 2, 1_000])('finds nothing where nothing differs, with %i rows in memory', async (maxRows) => {
    const at = await makeCase(3)
    const rows = expectedLedger(at.happened).length
    expect(await check(at, ledger(at.names.ledger), maxRows)).toMatchObject({
      ...{ kind: 'read model', version: 1, live: { generation: 1, version: 1 } },
      ...{ rows, differing: 0, columns: {}, examples: [], failed: 0, parked: 0 },
    })
    expect(await check(at, sales(at.names.sales), maxRows)).toMatchObject({ differing: 0, examples: [] })
  })

  it('names the subjects and columns that a changed fold makes otherwise, and hides personal text', async () => {
    const at = await makeCase(5)
    const model = ledger(at.names.ledger, 2)
    const changed = {
      ...model,
      evolve: {
        ...model.evolve,
        conversion_completed: (row: Row) => ({ ...row, is_customer: false }),
        lead_registered: (row: Row, event: DomainEvent<never>) => ({
          ...model.evolve.lead_registered!(row, event),
          email: 'other@example.com',
        }),
      },
    }
    const registered = new Set<string>()
    const customers = new Set<string>()
    for (const row of expectedLedger(at.happened) as {
      lead_id: string
      email: unknown
      is_customer: boolean
    }[]) {
      if (row.email !== null) registered.add(row.lead_id)
      if (row.is_customer) customers.add(row.lead_id)
    }
    const found = await check(at, changed)
    expect(found).toMatchObject({
      version: 2,
      live: { version: 1 },
      differing: registered.union(customers).size,
      columns: { email: registered.size, is_customer: customers.size },
    })
    expect(found.examples.map(({ key }) => key).toSorted()).toEqual(
      [...registered.union(customers)].toSorted(),
    )
    expect(JSON.stringify(found)).not.toContain('other@example.com')
    const example = found.examples.find(
      ({ key, columns }) => registered.has(key) && columns.includes('email'),
    )!
    expect([example.live?.email, example.folded?.email]).toEqual(['(personal)', '(personal)'])
  })

  it.each([1, 1_000])(
    'finds rows that were changed, lost or invented, with %i of them in memory',
    async (maxRows) => {
      const at = await makeCase(7)
      const [changed, lost] = (expectedLedger(at.happened) as { lead_id: string }[]).map((row) => row.lead_id)
      const table = `embudo.${at.names.ledger}_1`
      await at.pool.query(`update ${table} set attended = attended + 1, tags = '{}' where lead_id = $1`, [
        changed,
      ])
      await at.pool.query(`delete from ${table} where lead_id = $1`, [lost])
      await at.pool.query(`insert into ${table} (lead_id, trail) values ('L-invented', '[]')`)
      const found = await check(at, ledger(at.names.ledger), maxRows)
      expect(found.differing).toBe(3)
      expect(new Map(found.examples.map((example) => [example.key, example]))).toEqual(
        new Map([
          [changed, expect.objectContaining({ columns: ['attended', 'tags'] })],
          [lost, expect.objectContaining({ live: null })],
          ['L-invented', expect.objectContaining({ folded: null })],
        ]),
      )
      const tally = `embudo.${at.names.sales}_1`
      const { rows } = await at.pool.query(
        `update ${tally} set least = least - 1 where _partition = 1 returning currency, kind`,
      )
      await at.pool.query(`insert into ${tally} (currency, kind, _partition) values ('XXX', 'course', 2)`)
      const sold = await check(at, sales(at.names.sales), maxRows)
      expect(sold).toMatchObject({ differing: rows.length + 1, columns: { least: rows.length } })
      expect(sold.examples.map(({ key }) => key).toSorted()).toEqual(
        [...rows, { currency: 'XXX', kind: 'course' }]
          .map(({ currency, kind }) => JSON.stringify([currency, kind]))
          .toSorted(),
      )
    },
  )

  it('compares the columns that both have, and says which only one has', async () => {
    const at = await makeCase(11)
    const model = ledger(at.names.ledger)
    const { score: _, ...kept } = model.columns
    const columns = { ...kept, attended: 'bigint not null default 0' as const, clicks: 'integer' as const }
    expect(await check(at, { ...model, columns })).toMatchObject({
      ...{ differing: 0, newColumns: ['clicks'], droppedColumns: ['score'], retypedColumns: ['attended'] },
    })
    const { kind: __, ...others } = sales(at.names.sales).columns
    await expect(check(at, { ...sales(at.names.sales), columns: others })).rejects.toMatchObject({
      code: 'not_comparable',
    })
  })

  it('says what cannot be folded or stored, and checks the rest', async () => {
    const at = await makeCase(13)
    const model = ledger(at.names.ledger)
    const broken = (webinar_attended: (row: Row) => Row) => ({
      ...model,
      evolve: { ...model.evolve, webinar_attended },
    })
    const throwing = await check(
      at,
      broken(() => {
        throw new TypeError('nothing to see')
      }),
    )
    expect(throwing.failed).toBeGreaterThan(0)
    expect(throwing.failures[0]!.detail).toContain('nothing to see')
    const attended = new Set(
      counting(at.happened).flatMap(({ type, data }) => (type === 'webinar_attended' ? [data.leadId] : [])),
    )
    const tooLarge = await check(
      at,
      broken((row) => ({ ...row, attended: 2 ** 40 })),
    )
    expect(tooLarge.failed).toBe(attended.size)
    expect(tooLarge.failures[0]!.detail).toContain('cannot hold')
  })

  it('has nothing to say of what is not live yet', async () => {
    const at = await makeCase(17, 10)
    expect(await check(at, ledger('never_seen'))).toMatchObject({ live: undefined, rows: 0, differing: 0 })
  })
})
