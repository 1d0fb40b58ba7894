import type { Pool } from 'pg'
import { expect, inject, it } from 'vitest'
import enrollment from '../../sagas/enrollment/saga.ts'
import {
  append,
  ended,
  enrollmentRequested,
  eventsIn,
  eventually,
  makeDatabase,
  makeLog,
  startWorker,
} from '../integration/saga/world.ts'
import { dyingPool } from './dying-pool.ts'

const { databaseUrl } = inject('parts')

/** From its start on, a worker needs about as many statements for these enrollments. */
const lastPoint = 120
const lanes = 6

/**
 * One enrollment that is paid and one whose payment is refused, with the process dead at its n-th statement, and
 * another that takes over: before every odd statement, after every even one. Each lane has a database of its own.
 */
it.each([
  { when: 'before', first: 1 },
  { when: 'after', first: 2 },
] as const)(
  'an enrollment whose process dies $when a statement ends as if it had not',
  async ({ when, first }) => {
    const deaths = await Promise.all(
      Array.from({ length: lanes }, async (_, lane) => {
        let deaths = 0
        await using database = await makeDatabase(databaseUrl)
        for (let point = first + 2 * lane; point <= lastPoint; point += 2 * lanes) {
          if (await dieAt(database.pool, point, when)) deaths++
        }
        return deaths
      }),
    )
    // The later points may lie after the end of some runs, but most must have been real.
    expect(deaths.reduce((sum, count) => sum + count, 0)).toBeGreaterThan(lastPoint / 4)
  },
  600_000,
)

const dieAt = async (pool: Pool, point: number, when: 'before' | 'after'): Promise<boolean> => {
  await using log = await makeLog()
  // The log is new each time, so are the readers' positions.
  await pool.query('delete from embudo.positions')
  const paid = `paid-${point}`
  const declined = `declined-${point}`
  const courseId = `C-${point}`
  await append(log, enrollmentRequested(paid, { courseId }))
  await append(log, enrollmentRequested(declined, { courseId, paymentMethod: 'pm_card_chargeDeclined' }))

  const dying = dyingPool(pool, point, when)
  const within = { 'enrollment.take_payment': 600_000 }
  const options = { sagas: [enrollment], log, within, leaseMs: 300, pollMs: 20 }
  const first = await startWorker({ ...options, pool: dying.pool }).catch(() => undefined)
  const over = Promise.all([ended(pool, paid), ended(pool, declined)]).catch(() => {})
  await Promise.race([dying.died, over])
  // A dead process lets go of nothing; stopping it here only ends its loops.
  await Promise.resolve(first?.[Symbol.asyncDispose]()).catch(() => {})

  await using _second = await startWorker({ ...options, pool, leaseMs: 3_000 })
  expect([(await ended(pool, paid))!.state, (await ended(pool, declined))!.state]).toEqual([
    'COMPLETED',
    'COMPENSATED',
  ])
  await eventually(
    async () => (await pool.query('select from embudo.saga_outbox')).rowCount,
    (left) => left === 0,
  )

  const rows = async (sql: string) => (await pool.query(sql, [`%-${point}`])).rows
  expect(
    (await pool.query('select held from sandbox.courses where course_id = $1', [courseId])).rows,
  ).toEqual([{ held: 1 }])
  expect(await rows('select state from sandbox.payments where enrollment_id like $1 order by state')).toEqual(
    [{ state: 'charged' }, { state: 'declined' }],
  )
  expect(await rows('select is_customer from sandbox.crm_customers where lead_id like $1')).toEqual([
    { is_customer: true },
  ])
  const events = new Map((await eventsIn(log, 'enrollments')).map((event) => [event.id, event]))
  const typesOf = (id: string) =>
    [...events.values()].filter(({ subject }) => subject === id).map(({ type }) => type)
  expect(typesOf(paid)).toEqual(['enrollment_requested', 'seat_reserved', 'enrollment_confirmed'])
  expect(typesOf(declined)).toEqual([
    'enrollment_requested',
    'seat_reserved',
    'seat_released',
    'enrollment_cancelled',
  ])
  return dying.isDead()
}
