import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import type { NewEvent } from '../../../src/define/event.ts'
import { sum, tally } from '../../../src/define/tally.ts'
import { partitionFor } from '../../../src/log/port.ts'
import { history, leads, ledger } from './models.ts'
import {
  append,
  applied,
  eventually,
  makeDatabase,
  makeLog,
  operator,
  showing,
  startProjector,
} from './world.ts'

let database: Awaited<ReturnType<typeof makeDatabase>>
beforeAll(async () => {
  database = await makeDatabase(inject('parts').databaseUrl)
})
afterAll(() => database[Symbol.asyncDispose]())

const nobody = new AbortController().signal

const attended = (leadId: string, engagementScore: number | null = null): NewEvent => ({
  type: 'webinar_attended',
  time: '2026-11-20T10:00:00.000Z',
  data: { leadId, webinarId: 'W-1', attendanceDuration: 5, engagementScore },
})

const scores = (name: string) =>
  tally({
    name,
    version: 1,
    topic: leads,
    columns: { webinar_id: 'text primary key', score: 'double precision not null default 0' },
    measures: { score: sum },
    count: {
      webinar_attended: ({ data }) => ({ webinar_id: data.webinarId, score: data.engagementScore ?? 0 }),
    },
  })

const makeCase = async (projections: Parameters<typeof startProjector>[0]['projections']) => {
  const made = await makeLog()
  const at = { ...made, pool: database.pool, projections }
  const { name } = projections[0]!
  return {
    ...at,
    operator: operator(at),
    isApplied: () => applied(at, name),
    ...showing(at, name),
  }
}

describe('two generations compared', () => {
  it('are equal where one lacks an event and the record behind it that cannot be read', async () => {
    const at = await makeCase([ledger('verify_unreadable')])
    await append(at.log, at.topic, history(981, 60))
    const manager = await startProjector(at)
    await using _ = manager
    await at.isApplied()
    await at.operator.rebuild('verify_unreadable', { switchesItself: false })
    await at.rebuildIs('caught up')
    await at.operator.pause('verify_unreadable')
    await eventually(
      async () => manager.consumers().map(({ generation }) => generation),
      (fed) => fed.join() === '1',
    )
    const key = Buffer.from('L-cut')
    await append(at.log, at.topic, [attended('L-cut'), attended('L-whole')])
    await at.log.append([
      {
        ...{ topic: at.topic, partition: partitionFor(key, leads.partitions), key },
        ...{ value: Buffer.from('hello'), headers: [['ce_id', randomUUID()]] },
      },
    ])
    await append(at.log, at.topic, [attended('L-cut'), attended('L-whole')])
    await at.isApplied()
    const { rows } = await at.pool.query(
      `select lead_id, attended from public.verify_unreadable where lead_id in ('L-cut', 'L-whole') order by 1`,
    )
    expect(rows).toEqual([
      { lead_id: 'L-cut', attended: 1 },
      { lead_id: 'L-whole', attended: 2 },
    ])
    expect(await at.operator.verify('verify_unreadable', nobody)).toMatchObject({
      ...{ differences: 0, examples: [] },
    })
  })

  it('are equal where sums of doubles differ in their last digits alone', async () => {
    const at = await makeCase([scores('verify_doubles')])
    await append(
      at.log,
      at.topic,
      ['A', 'B', 'C', 'D'].map((lead, index) => attended(lead, 0.1 * (index + 1))),
    )
    await using _ = await startProjector(at)
    await at.isApplied()
    await at.operator.rebuild('verify_doubles', { switchesItself: false })
    await at.rebuildIs('caught up')
    const times = (factor: string) =>
      at.pool.query(`update embudo.verify_doubles_1 set score = score * (1 + ${factor})`)
    const { rowCount } = await times('1e-13')
    expect(await at.operator.verify('verify_doubles', nobody)).toMatchObject({ differences: 0, columns: {} })
    await times('1e-6')
    expect(await at.operator.verify('verify_doubles', nobody)).toMatchObject({
      ...{ differences: rowCount, columns: { score: rowCount } },
      examples: expect.arrayContaining([expect.objectContaining({ columns: ['score'] })]),
    })
  })
})
