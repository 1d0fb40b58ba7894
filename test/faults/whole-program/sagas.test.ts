import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { until } from '../../processes.ts'
import { Program } from '../../program.ts'
import { extent } from './extent.ts'
import { type LogRecord, readLog } from './log-reader.ts'
import { expectExactlyOnce, untilQuiet } from './oracle.ts'
import { seeded } from './seeded.ts'
import { Stores } from './stores.ts'

let program: Program
let stores: Stores
beforeAll(async () => {
  program = await Program.start({ EMBUDO_SAGA_WITHIN: 'enrollment.take_payment=8 seconds' })
  stores = new Stores(program.run)
})
afterAll(async () => {
  await stores[Symbol.asyncDispose]()
  await program[Symbol.asyncDispose]()
})

const enroll = async (enrollmentId: string, paymentMethod: string, courseId = 'C-1'): Promise<void> => {
  const data = {
    enrollmentId,
    leadId: `L-${enrollmentId}`,
    courseId,
    price: '49.00',
    currency: 'EUR',
    paymentMethod,
  }
  const response = await fetch(`${program.run.http}/api/events`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      type: 'enrollment_requested',
      id: `request-${enrollmentId}`,
      source: 'test',
      data,
    }),
  })
  expect(response.status).toBe(202)
}

interface Saga {
  readonly id: string
  readonly state: string
  readonly endedAt: string | null
  readonly timeline: readonly {
    readonly step: string | null
    readonly what: string
    readonly error: string | null
  }[]
}

const get = async (path: string): Promise<unknown> => (await fetch(`${program.run.http}${path}`)).json()

/** The saga as /api/sagas shows it, once it has ended and all its news is in the log. */
const ended = async (enrollmentId: string): Promise<Saga> => {
  let saga: Saga | undefined
  await until(`${enrollmentId} has ended`, async () => {
    const { items } = (await get(`/api/sagas?subject=${enrollmentId}`)) as { items: Saga[] }
    saga = items[0]
    return saga !== undefined && saga.endedAt !== null
  })
  await untilQuiet(program.run, stores)
  return (await get(`/api/sagas/${saga?.id}`)) as Saga
}

/** What of it is outside: the sandbox's booking system, payment provider and CRM. */
const effectsOf = async (enrollmentId: string) => {
  const of = async (sql: string) =>
    (await stores.postgres(sql, [enrollmentId])).map((row) => Object.values(row)[0])
  return {
    seats: await of('select state from sandbox.seat_reservations where enrollment_id = $1'),
    payments: await of('select state from sandbox.payments where enrollment_id = $1'),
    customers: await of("select is_customer from sandbox.crm_customers where lead_id = 'L-' || $1"),
  }
}

/** Without the doubles that a retry may leave: they have one id. */
const eventsOf = (records: readonly LogRecord[], enrollmentId: string): string[] => {
  const mine = records.filter(({ data }) => data.enrollmentId === enrollmentId)
  return [...new Map(mine.map((record) => [`${record.source} ${record.id}`, record])).values()].map(
    ({ type }) => type,
  )
}

const logOf = async (enrollmentId: string, topic: 'enrollments' | 'payments') =>
  eventsOf(await readLog(program.run, [`embudo.${topic}`]), enrollmentId)

describe('an enrollment', { timeout: 120_000 }, () => {
  it('whose payment succeeds is confirmed', async () => {
    await enroll('E-visa', 'pm_card_visa')
    expect(await ended('E-visa')).toMatchObject({ state: 'COMPLETED', type: 'enrollment', subject: 'E-visa' })
    expect(await effectsOf('E-visa')).toEqual({ seats: ['held'], payments: ['charged'], customers: [true] })
    expect(await logOf('E-visa', 'enrollments')).toEqual([
      'enrollment_requested',
      'seat_reserved',
      'enrollment_confirmed',
    ])
    expect(await logOf('E-visa', 'payments')).toEqual([
      'payment_initiated',
      'payment_authorized',
      'payment_completed',
    ])
  })

  it('whose payment is refused is compensated: seat released, nothing charged, CRM untouched', async () => {
    await enroll('E-declined', 'pm_card_chargeDeclined')
    const { state, timeline, id } = await ended('E-declined')
    expect(state).toBe('COMPENSATED')
    expect(await effectsOf('E-declined')).toEqual({
      seats: ['released'],
      payments: ['declined'],
      customers: [],
    })
    expect(await logOf('E-declined', 'enrollments')).toEqual([
      'enrollment_requested',
      'seat_reserved',
      'seat_released',
      'enrollment_cancelled',
    ])
    expect(await logOf('E-declined', 'payments')).toEqual(['payment_initiated', 'payment_failed'])

    const undone = timeline.filter(({ what }) => what === 'undone').map(({ step }) => step)
    expect(undone).toEqual(['take_payment', 'reserve_seat'])
    expect(timeline.at(-1)?.what).toBe('compensated')
    expect(JSON.stringify(timeline)).toContain('card_declined')
    expect(timeline.some(({ step }) => step === 'update_crm')).toBe(false)
    const shown = await program.ask('sagas', 'show', id)
    expect(shown).toContain('COMPENSATED')
    expect(shown).toContain('card_declined')
  })

  it('whose payment never answers is compensated by its deadline', async () => {
    await enroll('E-silent', 'pm_embudo_silent')
    const { state, timeline } = await ended('E-silent')
    expect(state).toBe('COMPENSATED')
    expect(JSON.stringify(timeline)).toMatch(/tim(e|ed)[ _]?out|deadline|no answer|within/i)
    expect(await effectsOf('E-silent')).toEqual({ seats: ['released'], payments: ['voided'], customers: [] })
    expect((await logOf('E-silent', 'enrollments')).at(-1)).toBe('enrollment_cancelled')
  })

  it.each(['pm_embudo_flaky', 'pm_embudo_slow'])('paid with %s is confirmed in the end', async (method) => {
    await enroll(`E-${method}`, method)
    expect(await ended(`E-${method}`)).toMatchObject({ state: 'COMPLETED' })
    expect(await effectsOf(`E-${method}`)).toEqual({
      seats: ['held'],
      payments: ['charged'],
      customers: [true],
    })
  })

  it('in a full course is compensated without a payment', async () => {
    await enroll('E-full', 'pm_card_visa', 'C-full')
    expect(await ended('E-full')).toMatchObject({ state: 'COMPENSATED' })
    const { seats, ...others } = await effectsOf('E-full')
    expect(seats).not.toContain('held')
    expect(others).toEqual({ payments: [], customers: [] })
    expect((await logOf('E-full', 'enrollments')).at(-1)).toBe('enrollment_cancelled')
    expect(await logOf('E-full', 'payments')).toEqual([])
  })
})

describe('enrollments whose worker is killed with -9 again and again', () => {
  const count = extent({ full: 200, short: 40 })
  const kills = extent({ full: 40, short: 10 })
  const methods = ['pm_card_visa', 'pm_card_visa', 'pm_embudo_flaky', 'pm_card_chargeDeclined']

  it(`all of ${count} end as if nothing had been after ${kills} kills`, async () => {
    const random = seeded(3)
    const requested: { id: string; course: string; isPaid: boolean }[] = []
    for (let kill = 0; kill < kills; kill++) {
      for (let n = 0; n < count / kills; n++) {
        const id = `K-${requested.length}`
        const method = methods[requested.length % methods.length] ?? ''
        const course = `C-killed-${requested.length % 3}`
        requested.push({ id, course, isPaid: method !== 'pm_card_chargeDeclined' })
        await enroll(id, method, course)
      }
      // By what has been done, not by the clock: a slow machine is killed at the same places.
      const steps = (await journaled()) + Math.floor(random() * 30)
      await until('the sagas have gone on', async () => (await journaled()) >= steps || (await open()) === 0)
      await program.killRole('worker')
    }
    await until(
      'all have ended',
      async () => (await started()) === requested.length && (await open()) === 0,
      120_000,
    )
    const records = await expectExactlyOnce(program.run)

    const paid = requested.filter(({ isPaid }) => isPaid)
    for (const { id, isPaid } of requested) {
      expect([id, await effectsOf(id)]).toEqual([
        id,
        isPaid
          ? { seats: ['held'], payments: ['charged'], customers: [true] }
          : { seats: ['released'], payments: ['declined'], customers: [] },
      ])
      const told = eventsOf(
        records.filter(({ topic }) => topic === 'embudo.enrollments'),
        id,
      )
      expect([id, ...told]).toEqual(
        isPaid
          ? [id, 'enrollment_requested', 'seat_reserved', 'enrollment_confirmed']
          : [id, 'enrollment_requested', 'seat_reserved', 'seat_released', 'enrollment_cancelled'],
      )
    }
    const held = await stores.postgres(
      "select course_id, held from sandbox.courses where course_id like 'C-killed-%' order by course_id",
    )
    const perCourse = (course: string) => paid.filter((enrollment) => enrollment.course === course).length
    expect(held).toEqual(held.map(({ course_id }) => ({ course_id, held: perCourse(String(course_id)) })))
    expect(
      await stores.postgres("select count(*)::integer as n from sandbox.payments where state = 'refunded'"),
    ).toEqual([{ n: 0 }])
    expect(
      await stores.postgres(`select saga_id, step, what from embudo.saga_journal
        where what in ('done', 'undone', 'completed', 'compensated') group by 1, 2, 3 having count(*) > 1`),
    ).toEqual([])
  }, 400_000)

  const number = async (sql: string): Promise<number> =>
    Number((await stores.postgres<{ n: string }>(sql))[0]?.n)
  const journaled = () => number('select count(*) as n from embudo.saga_journal')
  const open = () => number('select count(*) as n from embudo.sagas where ended_at is null')
  const started = () => number("select count(*) as n from embudo.sagas where subject like 'K-%'")
})
