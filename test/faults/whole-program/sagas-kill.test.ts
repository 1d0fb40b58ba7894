import { afterAll, beforeAll, expect, it } from 'vitest'
import { until } from '../../processes.ts'
import { Program } from '../../program.ts'
import { effectsOf, enroll, eventsOf } from './enrollments.ts'
import { extent } from './extent.ts'
import { expectExactlyOnce } from './oracle.ts'
import { seeded } from './seeded.ts'
import { Stores } from './stores.ts'

const count = extent({ full: 200, short: 40 })
const kills = extent({ full: 40, short: 10 })
const methods = ['pm_card_visa', 'pm_card_visa', 'pm_embudo_flaky', 'pm_card_chargeDeclined']
const courses = ['C-0', 'C-1', 'C-2']

/** By the state of its payment: what the log has to say of how it ended. */
const paymentEnds: Record<string, string[]> = {
  charged: ['payment_completed'],
  refunded: ['payment_completed', 'payment_refunded'],
  declined: ['payment_failed'],
  voided: [],
}

let program: Program
let stores: Stores
beforeAll(async () => {
  // Short enough that some wait for too long, with all these kills: what was charged is refunded then.
  program = await Program.start({ EMBUDO_SAGA_WITHIN: 'enrollment.take_payment=8 seconds' })
  stores = new Stores(program.run)
})
afterAll(async () => {
  await stores[Symbol.asyncDispose]()
  await program[Symbol.asyncDispose]()
})

const number = async (sql: string): Promise<number> =>
  Number((await stores.postgres<{ n: string }>(sql))[0]?.n)
const journaled = () => number('select count(*) as n from embudo.saga_journal')
const completed = () => number("select count(*) as n from embudo.sagas where state = 'COMPLETED'")
const ended = () => number('select count(*) as n from embudo.sagas where ended_at is not null')

it(`${count} enrollments whose worker is killed ${kills} times all end, and no effect is done twice`, async () => {
  const random = seeded(3)
  const requested: { id: string; course: string; method: string }[] = []
  const request = async (): Promise<void> => {
    const i = requested.length
    const method = methods[i % methods.length] ?? ''
    const enrollment = { id: `K-${i}`, method, course: courses[i % courses.length] ?? '' }
    requested.push(enrollment)
    await enroll(program, enrollment.id, method, enrollment.course)
  }
  for (let kill = 0; kill < kills; kill++) {
    // What one of them writes into its journal, from its start to its end, and a little more.
    const steps = (await journaled()) + Math.floor(random() * 40)
    for (let n = 0; n < count / kills; n++) await request()
    // By what has been done, not by the clock: a slow machine is killed at the same places.
    const farEnough = async () => (await journaled()) >= steps || (await ended()) === requested.length
    await until('the sagas have gone on', farEnough)
    await program.killRole('worker')
  }
  for (const _ of methods) await request()
  const allEnded = () => until('all have ended', async () => (await ended()) === requested.length)
  await allEnded()
  // Where everything is slow, all may have waited for too long: one has to go through in time.
  for (; (await completed()) === 0; await allEnded()) await request()
  const records = await expectExactlyOnce(program.run)
  const of = (topic: string, id: string) =>
    eventsOf(
      records.filter((record) => record.topic === topic),
      id,
    )

  const sagas = await stores.postgres<{ subject: string; state: string }>(
    'select subject, state from embudo.sagas',
  )
  const stateOf = new Map(sagas.map(({ subject, state }) => [subject, state]))
  for (const { id, method } of requested) {
    const effects = await effectsOf(stores, id)
    const payment = String(effects.payments[0])
    const found = { id, ...effects, events: of('embudo.enrollments', id) }
    if (stateOf.get(id) === 'COMPLETED') {
      expect(method).not.toBe('pm_card_chargeDeclined')
      const events = ['enrollment_requested', 'seat_reserved', 'enrollment_confirmed']
      expect(found).toEqual({ id, seats: ['held'], payments: ['charged'], customers: [true], events })
    } else {
      expect([id, stateOf.get(id)]).toEqual([id, 'COMPENSATED'])
      expect(['declined', 'voided', 'refunded']).toContain(payment)
      const events = ['enrollment_requested', 'seat_reserved', 'seat_released', 'enrollment_cancelled']
      expect(found).toEqual({ id, seats: ['released'], payments: [payment], customers: [], events })
    }
    const ends = of('embudo.payments', id).filter((type) => /completed|failed|refunded/.test(type))
    expect([id, ...ends]).toEqual([id, ...(paymentEnds[payment] ?? [])])
  }

  const paid = requested.filter(({ id }) => stateOf.get(id) === 'COMPLETED')
  expect(paid.length).toBeGreaterThan(0)
  expect(await stores.postgres('select course_id, held from sandbox.courses order by course_id')).toEqual(
    courses.map((course_id) => ({
      course_id,
      held: paid.filter(({ course }) => course === course_id).length,
    })),
  )
  expect(
    await stores.postgres(`select saga_id, step, what from embudo.saga_journal
      where what in ('done', 'undone', 'completed', 'compensated') group by 1, 2, 3 having count(*) > 1`),
  ).toEqual([])
}, 600_000)
