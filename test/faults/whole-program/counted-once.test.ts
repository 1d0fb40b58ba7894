import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Program } from '../../program.ts'
import { get, rebuild } from './asking.ts'
import { readLog } from './log-reader.ts'
import { untilQuiet } from './oracle.ts'
import { Stores } from './stores.ts'

let program: Program
beforeAll(async () => {
  program = await Program.start({ EMBUDO_SAGA_WITHIN: 'enrollment.take_payment=10 minutes' })
})
afterAll(() => program[Symbol.asyncDispose]())

const attended = (leadId: string, id: string) => ({
  type: 'webinar_attended',
  id,
  source: 'zoom',
  data: { leadId, webinarId: 'W-9', attendanceDuration: 60, engagementScore: null },
})

const requested = {
  type: 'enrollment_requested',
  id: 'r-1',
  source: 'shop',
  data: {
    ...{ enrollmentId: 'E-1', leadId: 'L-2', courseId: 'C-1' },
    ...{ price: '49.00', currency: 'EUR', paymentMethod: 'pm_card_visa' },
  },
}

const send = async (...events: readonly object[]): Promise<void> => {
  const response = await fetch(`${program.run.http}/api/events`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(events),
  })
  expect(response.status).toBe(202)
}

const quiet = async (): Promise<void> => {
  await using stores = new Stores(program.run)
  await untilQuiet(program.run, stores)
}

const expectOneEach = async (): Promise<void> => {
  await quiet()
  expect(await get(program, '/api/leads/L-1')).toMatchObject({ webinarsAttended: 2, attendanceSeconds: 120 })
  expect(await get(program, '/api/leads/L-1/events')).toMatchObject({ items: [{ id: 'a-1' }, { id: 'a-2' }] })
  expect(await get(program, '/api/read-models/webinar_stats')).toMatchObject({ items: [{ attendances: 2 }] })
  expect(await get(program, '/api/sagas')).toMatchObject({ items: [{ subject: 'E-1', state: 'COMPLETED' }] })
  await using stores = new Stores(program.run)
  const rows = await stores.clickhouse('SELECT _event_id AS id FROM webinar_attended ORDER BY id')
  expect(rows).toEqual([{ id: 'a-1' }, { id: 'a-2' }])
}

describe('what a sender says again', { timeout: 300_000 }, () => {
  it('counts once everywhere, and stays in the log', async () => {
    await send(attended('L-1', 'a-1'), requested, attended('L-1', 'a-1'))
    await send(attended('L-1', 'a-1'), requested, attended('L-1', 'a-2'))
    await expectOneEach()
    const records = await readLog(program.run, ['embudo.leads', 'embudo.enrollments'])
    expect(records.filter(({ source }) => source === 'zoom' || source === 'shop')).toHaveLength(6)
    const metrics = await fetch(`${workerAddress()}/metrics`)
    expect(await metrics.text()).toMatch(
      /embudo_projection_duplicates_total\{projection="lead_profile",[^}]*\} 2/,
    )
  })

  it('counts once after the reader has died in between', async () => {
    await program.killRole('worker')
    await send(attended('L-1', 'a-2'), attended('L-1', 'a-1'), requested)
    await expectOneEach()
  })

  it('counts once in a rebuild', async () => {
    await rebuild(program, 'lead_profile')
    await expectOneEach()
  })
})

/** As `up` says it: the first address is ingestion's. */
const workerAddress = (): string => {
  const addresses = [...program.said.matchAll(/(http:\/\/127\.0\.0\.1:\d+)\/metrics/g)].map(([, url]) => url)
  const last = addresses.at(-1)
  if (last === undefined) throw new Error('up did not say where the worker answers')
  return last
}
