import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { makeFeeds } from '../../../src/consumer/feeds.ts'
import { readModel } from '../../../src/define/read-model.ts'
import { beginGeneration, listGenerations } from '../../../src/projection/generations.ts'
import { countedLog } from '../../unit/consumer/counted-log.ts'
import { expectedLedger, history, leads, ledger, readLedger, sales } from './models.ts'
import { append, applied, eventually, makeDatabase, makeLog, startProjector, statesOf } from './world.ts'

let database: Awaited<ReturnType<typeof makeDatabase>>
beforeAll(async () => {
  database = await makeDatabase(inject('parts').databaseUrl)
})
afterAll(() => database[Symbol.asyncDispose]())

const makeCountedLog = async () => {
  const { log, ...rest } = await makeLog()
  return { ...rest, ...countedLog(log) }
}

/** Remembers the data of every event that it is given. */
const remembering = (name: string, seen: object[]) =>
  readModel({
    name,
    version: 1,
    topic: leads,
    columns: { lead_id: 'text primary key', events: 'integer not null default 0' },
    initial: (leadId) => ({ lead_id: leadId, events: 0 }),
    evolve: {
      webinar_attended: (row, { data }) => {
        seen.push(data)
        return { ...row, events: row.events + 1 }
      },
    },
  })

describe('the projections of a process', () => {
  it('read each partition once, all together, and decode each event once', async () => {
    const { pool } = database
    const { log, counts, prefix, topic } = await makeCountedLog()
    const [one, other]: [object[], object[]] = [[], []]
    const projections = [
      remembering('remembering_one', one),
      remembering('remembering_other', other),
      sales('sales_one_pass'),
    ]
    await using _ = await startProjector({ log, prefix, pool, projections })
    const first = await append(log, topic, history(5, 1_000))
    for (const { name } of projections) await applied({ log, pool, topic }, name)
    const second = await append(log, topic, history(6, 1_000))
    for (const { name } of projections) await applied({ log, pool, topic }, name)

    expect(counts).toEqual({
      reads: leads.partitions,
      open: leads.partitions,
      records: first.length + second.length,
    })
    expect(one.length).toBeGreaterThan(100)
    expect(other.length).toBe(one.length)
    expect(new Set(one).isSupersetOf(new Set(other))).toBe(true)
  })

  it('share the reading of their rebuilds, which ends when they have caught up', async () => {
    const { pool } = database
    const { log, counts, prefix, topic } = await makeCountedLog()
    const projections = [ledger('ledger_shared_1'), ledger('ledger_shared_2'), ledger('ledger_shared_3')]
    const happened = await append(log, topic, history(7, 6_000))
    // The live ones keep too little of what they have read to serve a rebuild.
    await using feeds = makeFeeds(log, { maxPassBytes: 400_000 })
    await using projector = await startProjector({ log, prefix, pool, projections, feeds, batchRecords: 500 })
    for (const { name } of projections) await applied({ log, pool, topic }, name)
    const before = counts.records

    // None of them is far ahead because the others began later.
    const letGo = log.faults.holdReads()
    for (const { name } of projections) await beginGeneration(pool, name, 1, happened.length)
    await eventually(
      async () => statesOf(projector.consumers().filter(({ generation }) => generation === 2)),
      (states) => states.filter((state) => state === 'running').length === 3 * leads.partitions,
    )
    letGo()
    await eventually(
      async () =>
        (await listGenerations(pool)).filter(({ projection }) => projection.startsWith('ledger_shared')),
      (all) => all.filter(({ generation, state }) => generation === 2 && state === 'live').length === 3,
    )

    const expected = expectedLedger(happened)
    for (const { name } of projections) expect(await readLedger(pool, name)).toEqual(expected)
    expect(counts.records - before).toBeLessThan(3 * happened.length)
    await eventually(
      async () => counts.open,
      (open) => open === leads.partitions,
    )
  })
})
