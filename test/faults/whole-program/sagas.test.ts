import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { until } from '../../processes.ts'
import { Program } from '../../program.ts'
import { ask, get } from './asking.ts'
import { effectsOf, enroll, eventsOf } from './enrollments.ts'
import { readLog } from './log-reader.ts'
import { untilQuiet } from './oracle.ts'
import { Stores } from './stores.ts'

let program: Program
let stores: Stores
beforeAll(async () => {
  program = await Program.start({ EMBUDO_SAGA_WITHIN: 'enrollment.take_payment=10 minutes' })
  stores = new Stores(program.run)
})
afterAll(async () => {
  await stores[Symbol.asyncDispose]()
  await program[Symbol.asyncDispose]()
})

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

/** The saga as /api/sagas shows it, once it has ended and all its news is in the log. */
const ended = async (enrollmentId: string): Promise<Saga> => {
  let saga: Saga | undefined
  await until(`${enrollmentId} has ended`, async () => {
    const { items } = (await get(program, `/api/sagas?subject=${enrollmentId}`)) as { items: Saga[] }
    saga = items[0]
    return saga !== undefined && saga.endedAt !== null
  })
  await untilQuiet(program.run, stores)
  return (await get(program, `/api/sagas/${saga?.id}`)) as Saga
}

/** The ten minutes that a payment may take are over, in a moment. */
const paymentTimeIsOver = async (enrollmentId: string): Promise<void> => {
  let minutes = 0
  await until(`${enrollmentId} waits for its payment`, async () => {
    const [waiting] = await stores.postgres<{ minutes: string }>(
      `select extract(epoch from wait_until - now()) / 60 as minutes
       from embudo.sagas where subject = $1 and state = 'WAITING'`,
      [enrollmentId],
    )
    minutes = Number(waiting?.minutes)
    return waiting !== undefined
  })
  expect(minutes).toBeGreaterThan(1)
  await stores.postgres('update embudo.sagas set wait_until = now(), due_at = now() where subject = $1', [
    enrollmentId,
  ])
}

const logOf = async (enrollmentId: string, topic: 'enrollments' | 'payments') =>
  eventsOf(await readLog(program.run, [`embudo.${topic}`]), enrollmentId)

describe('an enrollment', { timeout: 300_000 }, () => {
  it('whose payment succeeds is confirmed', async () => {
    await enroll(program, 'E-visa', 'pm_card_visa')
    expect(await ended('E-visa')).toMatchObject({ state: 'COMPLETED', type: 'enrollment', subject: 'E-visa' })
    expect(await effectsOf(stores, 'E-visa')).toEqual({
      seats: ['held'],
      payments: ['charged'],
      customers: [true],
    })
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
    await enroll(program, 'E-declined', 'pm_card_chargeDeclined')
    const { state, timeline, id } = await ended('E-declined')
    expect(state).toBe('COMPENSATED')
    expect(await effectsOf(stores, 'E-declined')).toEqual({
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
    const shown = await ask(program, ['sagas', 'show', id])
    expect(shown).toContain('COMPENSATED')
    expect(shown).toContain('card_declined')
  })

  it('whose payment never answers is compensated by its deadline', async () => {
    await enroll(program, 'E-silent', 'pm_embudo_silent')
    await paymentTimeIsOver('E-silent')
    const { state, timeline } = await ended('E-silent')
    expect(state).toBe('COMPENSATED')
    expect(JSON.stringify(timeline)).toMatch(/tim(e|ed)[ _]?out|deadline|no answer|within/i)
    expect(await effectsOf(stores, 'E-silent')).toEqual({
      seats: ['released'],
      payments: ['voided'],
      customers: [],
    })
    expect((await logOf('E-silent', 'enrollments')).at(-1)).toBe('enrollment_cancelled')
  })

  it.each(['pm_embudo_flaky', 'pm_embudo_slow'])('paid with %s is confirmed in the end', async (method) => {
    await enroll(program, `E-${method}`, method)
    expect(await ended(`E-${method}`)).toMatchObject({ state: 'COMPLETED' })
    expect(await effectsOf(stores, `E-${method}`)).toEqual({
      seats: ['held'],
      payments: ['charged'],
      customers: [true],
    })
  })

  it('in a full course is compensated without a payment', async () => {
    await enroll(program, 'E-full', 'pm_card_visa', 'C-full')
    expect(await ended('E-full')).toMatchObject({ state: 'COMPENSATED' })
    const { seats, ...others } = await effectsOf(stores, 'E-full')
    expect(seats).not.toContain('held')
    expect(others).toEqual({ payments: [], customers: [] })
    expect((await logOf('E-full', 'enrollments')).at(-1)).toBe('enrollment_cancelled')
    expect(await logOf('E-full', 'payments')).toEqual([])
  })
})
