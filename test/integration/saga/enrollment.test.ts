import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import enrollment from '../../../sagas/enrollment/saga.ts'
import { sagaIdOf } from '../../../src/saga/deterministic-id.ts'
import { showSaga } from '../../../src/saga/queries.ts'
import {
  append,
  ended,
  enrollmentRequested,
  eventsIn,
  eventually,
  makeDatabase,
  makeLog,
  startWorker,
} from './world.ts'

let database: Awaited<ReturnType<typeof makeDatabase>>
let log: Awaited<ReturnType<typeof makeLog>>
let worker: AsyncDisposable

/** No call is given up because the machine stood still. */
const patient = {
  ...enrollment,
  steps: enrollment.steps.map((step) => ({ ...step, retry: { ...step.retry, timeoutMs: 600_000 } })),
}

const start = () =>
  startWorker({
    sagas: [patient],
    pool: database.pool,
    log,
    leaseMs: 60_000,
    within: { 'enrollment.take_payment': 600_000 },
  })

beforeAll(async () => {
  database = await makeDatabase(inject('parts').databaseUrl)
  log = await makeLog()
  worker = await start()
})

afterAll(async () => {
  await worker?.[Symbol.asyncDispose]()
  await log?.[Symbol.asyncDispose]()
  await database?.[Symbol.asyncDispose]()
})

const request = (id: string, more: Parameters<typeof enrollmentRequested>[1] = {}) =>
  append(log, enrollmentRequested(id, more))

const rows = async (sql: string, ...values: unknown[]) => (await database.pool.query(sql, values)).rows

const seatsHeld = async (courseId: string) =>
  (await rows('select held from sandbox.courses where course_id = $1', courseId))[0]?.held

const paymentOf = async (id: string) =>
  (await rows('select state, notices, calls from sandbox.payments where enrollment_id = $1', id))[0]

const customers = async (id: string) =>
  rows('select is_customer from sandbox.crm_customers where lead_id = $1', `L-${id}`)

/** The types of the events of an enrollment, once what the saga emitted last is there. */
const eventsOf = (id: string, last: string) =>
  eventually(
    async () =>
      (await eventsIn(log, 'enrollments')).filter(({ subject }) => subject === id).map(({ type }) => type),
    (types) => types.includes(last),
  )

const timelineOf = async (id: string) =>
  (await ended(database.pool, id))!.timeline.map(({ step, what }) =>
    step === null ? what : `${step} ${what}`,
  )

/** The ten minutes that a payment may take are over, in a moment. */
const paymentTimeIsOver = async (id: string): Promise<void> => {
  const waiting = await eventually(
    () =>
      rows(
        `select extract(epoch from wait_until - now())::int as seconds from embudo.sagas
         where subject = $1 and state = 'WAITING'`,
        id,
      ),
    (found) => found.length === 1,
  )
  expect(waiting[0].seconds).toBeGreaterThan(60)
  await rows('update embudo.sagas set wait_until = now(), due_at = now() where subject = $1', id)
}

describe('an enrollment', () => {
  it('ends with a seat, paid and confirmed', async () => {
    await request('ok', { courseId: 'C-ok' })
    expect((await ended(database.pool, 'ok'))!.state).toBe('COMPLETED')
    expect(await eventsOf('ok', 'enrollment_confirmed')).toEqual([
      'enrollment_requested',
      'seat_reserved',
      'enrollment_confirmed',
    ])
    expect(await seatsHeld('C-ok')).toBe(1)
    expect(await paymentOf('ok')).toMatchObject({ state: 'charged' })
    expect(await customers('ok')).toEqual([{ is_customer: true }])
  })

  it('whose payment is refused is compensated: seat released, nothing charged, CRM untouched', async () => {
    await request('declined', { courseId: 'C-declined', paymentMethod: 'pm_card_chargeDeclined' })
    expect((await ended(database.pool, 'declined'))!.state).toBe('COMPENSATED')
    expect(await eventsOf('declined', 'enrollment_cancelled')).toEqual([
      'enrollment_requested',
      'seat_reserved',
      'seat_released',
      'enrollment_cancelled',
    ])
    expect(await seatsHeld('C-declined')).toBe(0)
    expect(await paymentOf('declined')).toMatchObject({
      state: 'declined',
      notices: ['payment_initiated', 'payment_failed'],
    })
    expect(await customers('declined')).toEqual([])
    expect(await timelineOf('declined')).toEqual([
      'started',
      'reserve_seat calling',
      'reserve_seat done',
      'take_payment calling',
      'take_payment done',
      'take_payment waiting',
      'take_payment received payment_failed',
      'take_payment compensating',
      'take_payment undoing',
      'take_payment undone',
      'reserve_seat undoing',
      'reserve_seat undone',
      'compensated',
    ])
  })

  it('whose payment never answers is compensated when its time is over', async () => {
    await request('silent', { courseId: 'C-silent', paymentMethod: 'pm_embudo_silent' })
    await paymentTimeIsOver('silent')
    expect((await ended(database.pool, 'silent'))!.state).toBe('COMPENSATED')
    expect(await timelineOf('silent')).toContain('take_payment timed out')
    expect(await seatsHeld('C-silent')).toBe(0)
    expect(await paymentOf('silent')).toMatchObject({ state: 'voided' })
  })

  it('whose payment answers too late is not charged', async () => {
    await request('slow', { paymentMethod: 'pm_embudo_silent' })
    await paymentTimeIsOver('slow')
    expect((await ended(database.pool, 'slow'))!.state).toBe('COMPENSATED')
    const id = (await rows("select payment_id from sandbox.payments where enrollment_id = 'slow'"))[0]
      .payment_id
    await append(log, {
      type: 'payment_completed',
      data: {
        paymentId: id,
        leadId: 'L-slow',
        enrollmentId: 'slow',
        amount: '49.00',
        currency: 'EUR',
        provider: 'x',
      },
    })
    const saga = await eventually(
      () => showSaga(database.pool, sagaIdOf('enrollment', 'slow')),
      (seen) => seen?.timeline.at(-1)?.what === 'payment_completed came too late',
    )
    expect(saga!.state).toBe('COMPENSATED')
    expect(await paymentOf('slow')).toMatchObject({ state: 'voided', notices: ['payment_initiated'] })
  })

  it('whose payment cannot be reached at first is tried again', async () => {
    await request('flaky', { paymentMethod: 'pm_embudo_flaky' })
    const saga = await ended(database.pool, 'flaky')
    expect(saga!.state).toBe('COMPLETED')
    expect(saga!.timeline.filter(({ what }) => what === 'retrying').map(({ attempt }) => attempt)).toEqual([
      1, 2,
    ])
    expect(await paymentOf('flaky')).toMatchObject({
      calls: 3,
      notices: ['payment_initiated', 'payment_authorized', 'payment_completed'],
    })
  })

  it('in a course without seats is cancelled with the reason, and pays nothing', async () => {
    await request('full', { courseId: 'C-full' })
    expect((await ended(database.pool, 'full'))!.state).toBe('COMPENSATED')
    expect(await eventsOf('full', 'enrollment_cancelled')).toEqual([
      'enrollment_requested',
      'enrollment_cancelled',
    ])
    expect(await paymentOf('full')).toBeUndefined()
  })

  it('that is asked for twice is done once', async () => {
    await request('twice', { courseId: 'C-twice' })
    await request('twice', { courseId: 'C-twice' })
    await ended(database.pool, 'twice')
    await eventsOf('twice', 'enrollment_confirmed')
    await request('after-twice')
    await ended(database.pool, 'after-twice')
    expect(await seatsHeld('C-twice')).toBe(1)
    expect((await timelineOf('twice')).filter((line) => line === 'started')).toHaveLength(1)
  })

  it('carries on what its events come from', async () => {
    await append(log, { ...enrollmentRequested('traced'), id: 'request-1' })
    await eventsOf('traced', 'enrollment_confirmed')
    const [, reserved] = (await eventsIn(log, 'enrollments')).filter(({ subject }) => subject === 'traced')
    expect(reserved).toMatchObject({
      correlationId: sagaIdOf('enrollment', 'traced'),
      causationId: 'request-1',
    })
  })
})

describe('a payment event', () => {
  const paid = (enrollmentId: string, id: string) =>
    append(log, {
      type: 'payment_completed',
      id,
      source: 'bank',
      data: {
        paymentId: `pay-${enrollmentId}`,
        leadId: 'L',
        enrollmentId,
        amount: '49.00',
        currency: 'EUR',
        provider: 'bank',
      },
    })

  it('that comes before its saga has started is not lost', async () => {
    await paid('early', 'early-1')
    await eventually(
      () => rows('select from embudo.saga_inbox where saga_id = $1', sagaIdOf('enrollment', 'early')),
      (found) => found.length === 1,
    )
    await request('early', { paymentMethod: 'pm_embudo_silent' })
    expect((await ended(database.pool, 'early'))!.state).toBe('COMPLETED')
  })

  it('that comes twice, under one id or two, counts once', async () => {
    await request('doubled', { paymentMethod: 'pm_embudo_silent' })
    for (const id of ['doubled-1', 'doubled-1', 'doubled-2']) await paid('doubled', id)
    expect((await ended(database.pool, 'doubled'))!.state).toBe('COMPLETED')
    expect(
      (await timelineOf('doubled')).filter((line) => line.endsWith('received payment_completed')),
    ).toHaveLength(1)
    expect(await customers('doubled')).toHaveLength(1)
  })
})

describe('reading the log again', () => {
  it('starts nothing, calls nothing, emits nothing', async () => {
    const state = () =>
      rows(`select (select count(*) from embudo.sagas) as sagas, (select sum(attempt) from embudo.sagas) as attempts,
        (select sum(calls) from sandbox.payments) as calls, (select count(*) from sandbox.seat_reservations) as seats`)
    await eventually(
      () => rows('select from embudo.saga_outbox'),
      ({ length }) => length === 0,
    )
    await worker[Symbol.asyncDispose]()
    const before = { state: await state(), events: (await eventsIn(log, 'enrollments')).length }
    await database.pool.query('delete from embudo.positions')
    worker = await start()
    await request('after-replay')
    await ended(database.pool, 'after-replay')
    await eventsOf('after-replay', 'enrollment_confirmed')
    const ends = await Promise.all(
      ['embudo.enrollments', 'embudo.payments'].map((topic) => log.bounds(topic)),
    )
    const records = ends.flat().reduce((sum, { end }) => sum + end, 0)
    await eventually(
      () => rows('select sum(next_offset)::int as read from embudo.positions'),
      ([{ read }]) => read >= records,
    )
    await database.pool.query("delete from embudo.sagas where subject = 'after-replay'")
    await database.pool.query("delete from sandbox.payments where enrollment_id = 'after-replay'")
    await database.pool.query("delete from sandbox.seat_reservations where enrollment_id = 'after-replay'")
    expect({ state: await state(), events: (await eventsIn(log, 'enrollments')).length - 3 }).toEqual(before)
  })
})
