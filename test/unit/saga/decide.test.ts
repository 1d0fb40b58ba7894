import { describe, expect, it } from 'vitest'
import { refused } from '../../../src/define/saga.ts'
import { enrollment, paymentCompleted, paymentFailed, Simulation, threw, went } from './simulation.ts'

const begun = () => new Simulation().due()
const waiting = () => begun().tell(went, went)
const atCrm = () => waiting().tell(paymentCompleted, went)
const atPivot = () => atCrm().tell(went)

describe('a saga', () => {
  it('runs its steps in order and completes', () => {
    const sim = atPivot().tell(went, went)
    expect(sim.ran).toEqual([
      'seat call',
      'payment call',
      'note call',
      'crm call',
      'confirm call',
      'welcome call',
    ])
    expect(sim.saga).toMatchObject({ state: 'COMPLETED', dueAtMs: null })
    expect(sim.said.at(-1)).toBe('completed')
  })

  it('has the undo of a step on record before its call runs', () => {
    expect(begun().saga.undo).toEqual(['seat'])
    expect(begun().tell(went).saga.undo).toEqual(['seat', 'payment'])
  })

  it('waits for its event, and keeps what that says', () => {
    const sim = waiting()
    expect(sim.saga).toMatchObject({ state: 'WAITING', dueAtMs: 30_000 })
    sim.tell(paymentCompleted)
    expect(sim.saga).toMatchObject({
      state: 'RUNNING',
      step: 'note',
      results: { payment: { enrollmentId: 'E-1' } },
    })
  })

  it('is compensated in reverse order when an awaited event says no, and says why', () => {
    const sim = waiting().tell(paymentFailed, went, went)
    expect(sim.ran.slice(2)).toEqual(['payment undo', 'seat undo'])
    expect(sim.saga).toMatchObject({ state: 'COMPENSATED', reason: 'card_declined' })
    expect(sim.emitted.map(({ event }) => event)).toEqual([
      {
        type: 'enrollment_cancelled',
        data: { enrollmentId: 'E-1', leadId: 'L-1', courseId: 'C-1', reason: 'card_declined' },
      },
    ])
  })

  it('does not undo a step that refused: it did nothing', () => {
    const sim = begun().tell(refused('no seat left'))
    expect(sim.saga).toMatchObject({ state: 'COMPENSATED', reason: 'no seat left' })
    expect(sim.ran).toEqual(['seat call'])
  })

  it('undoes a step that failed: nobody knows what it did', () => {
    const sim = begun()
    const { attempts } = enrollment.steps[0]!.retry
    for (let failure = 1; failure < attempts; failure++) sim.tell(threw).due()
    sim.tell(threw)
    expect(sim.ran.at(-1)).toBe('seat undo')
    expect(sim.saga).toMatchObject({ state: 'COMPENSATING', reason: 'seat failed: lost connection' })
  })

  it('waits longer after each failure', () => {
    const sim = begun()
    const delays = [1, 2, 3].map(() => {
      sim.tell(threw)
      const delay = sim.saga.dueAtMs! - sim.nowMs
      sim.due()
      return delay
    })
    expect(delays).toEqual([150, 300, 600])
  })

  it('is compensated when nothing answers in time', () => {
    const sim = waiting().due()
    expect(sim.nowMs).toBe(30_000)
    expect(sim.ran.at(-1)).toBe('payment undo')
    expect(sim.said).toContain('payment timed out')
  })

  it('goes on waiting when it is woken too early', () => {
    const sim = waiting()
    sim.nowMs = 10
    sim.tell({ is: 'due' })
    expect(sim.saga).toMatchObject({ state: 'WAITING', dueAtMs: 30_000 })
  })

  it('is compensated when its deadline passes before the pivot', () => {
    const sim = atCrm().tell(threw)
    sim.nowMs = enrollment.deadlineMs
    sim.tell({ is: 'due' })
    expect(sim.saga).toMatchObject({ state: 'COMPENSATING', reason: 'deadline passed' })
  })

  it('only goes forward once its pivot was called, however often that fails', () => {
    const sim = atPivot()
    for (let failure = 0; failure < 50; failure++) sim.tell(threw).due()
    sim.nowMs = 2 * enrollment.deadlineMs
    sim.tell(threw).due().tell(went, went)
    expect(sim.saga.state).toBe('COMPLETED')
  })

  it('is compensated when its pivot refuses', () => {
    expect(atPivot().tell(refused('closed')).ran.at(-1)).toBe('crm undo')
  })

  it('keeps trying a step past the pivot that refuses', () => {
    const sim = atPivot().tell(went, refused('mailbox full'))
    expect(sim.saga).toMatchObject({ state: 'RUNNING', step: 'welcome' })
  })

  it('calls again, under the same key, what was cut off by a dying process', () => {
    const sim = begun().due()
    expect(sim.ran).toEqual(['seat call', 'seat call'])
    expect(sim.saga).toMatchObject({ attempt: 2, failures: 0, undo: ['seat'] })
  })

  it('gives up a step that ends the process each time', () => {
    const sim = begun()
    for (let cut = 0; cut < 10; cut++) sim.due()
    expect(sim.saga).toMatchObject({ state: 'COMPENSATING', reason: 'seat was cut off 10 times' })
  })

  it('is parked with an alert when an undo fails too often', () => {
    const sim = waiting().tell(paymentFailed)
    for (let failure = 0; failure < 6; failure++) {
      sim.tell(threw)
      if (failure < 5) sim.due()
    }
    expect(sim.saga).toMatchObject({
      state: 'COMPENSATION_FAILED',
      step: 'payment',
      dueAtMs: null,
      endedAtMs: null,
    })
    expect(sim.emitted.map(({ event }) => event.type)).toEqual(['system_alert'])
  })

  it('does nothing more once it has ended', () => {
    const sim = waiting().tell(paymentFailed, went, went)
    const before = { ran: sim.ran.length, said: sim.said.length }
    sim.tell({ is: 'due' }, paymentCompleted, went)
    expect({ ran: sim.ran.length, said: sim.said.length }).toEqual(before)
    expect(sim.saga.state).toBe('COMPENSATED')
  })

  it('gives its events the same ids whenever the same is decided', () => {
    const ids = () =>
      waiting()
        .tell(paymentFailed, went, went)
        .emitted.map(({ id }) => id)
    expect(ids()).toEqual(ids())
  })
})
