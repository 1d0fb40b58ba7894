import { Client } from 'pg'
import { expect, inject, it } from 'vitest'
import enrollment from '../../sagas/enrollment/saga.ts'
import {
  append,
  enrollmentRequested,
  eventsIn,
  eventually,
  makeDatabase,
  makeLog,
  startWorker,
} from '../integration/saga/world.ts'

it('sagas whose connections are cut, and whose log is away for a while, all end, and what they did adds up', async () => {
  await using database = await makeDatabase(inject('parts').databaseUrl)
  await using log = await makeLog()
  await using _worker = await startWorker({ sagas: [enrollment], pool: database.pool, log, leaseMs: 3_000 })
  const count = 80
  const cutter = new Client({ connectionString: database.url })
  await cutter.connect()
  try {
    for (let n = 0; n < count; n++) {
      const request = { ...enrollmentRequested(`E-${n}`), id: `request-${n}` }
      // The failure that is meant for the sagas may hit this append: it is sent again, as a client would.
      await append(log, request).catch(() => append(log, request))
      if (n % 5 !== 4) continue
      await cutter.query(
        'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
      )
      log.faults.failNextAppend({ code: 'log_timeout', detail: 'no answer', retriable: true }, n % 2 === 0)
    }
    const rows = async (sql: string) => (await cutter.query(sql)).rows
    await eventually(
      () => rows('select count(*)::int as ended from embudo.sagas where ended_at is not null'),
      ([{ ended }]) => ended === count,
    )
    await eventually(
      () => rows('select from embudo.saga_outbox'),
      (left) => left.length === 0,
    )

    const [{ completed }] = await rows(
      "select count(*)::int as completed from embudo.sagas where state = 'COMPLETED'",
    )
    expect(await rows('select held from sandbox.courses')).toEqual([{ held: completed }])
    expect(await rows("select count(*)::int as n from sandbox.payments where state = 'charged'")).toEqual([
      { n: completed },
    ])
    expect(await rows('select count(*)::int as n from sandbox.crm_customers where is_customer')).toEqual([
      { n: completed },
    ])
    const events = new Map((await eventsIn(log, 'enrollments')).map((event) => [event.id, event.type]))
    const ofType = (type: string) => [...events.values()].filter((found) => found === type).length
    expect(ofType('enrollment_confirmed')).toBe(completed)
    expect(ofType('enrollment_cancelled')).toBe(count - completed)
  } finally {
    await cutter.end()
  }
})
