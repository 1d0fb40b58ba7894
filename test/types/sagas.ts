import {
  done,
  type Effects,
  fail,
  type Outcome,
  type StepContext,
  saga,
  step,
  succeed,
} from '../../src/define/saga.ts'

// What must not compile about sagas. Nothing in here is ever run.

interface Ports {
  readonly seats: { reserve(courseId: string): Promise<void> }
}
const effects: Effects<Ports> = { connect: () => ({ seats: { reserve: async () => {} } }) }
const call = async (): Promise<Outcome> => done()
const undo = async () => done()
const base = { name: 'x', version: 1, startedBy: 'enrollment_requested', deadline: '1 day', effects } as const

/** What must go on compiling. */
saga({
  ...base,
  steps: [
    step('reserve', {
      call: async ({ ports, start }: StepContext<Ports, 'enrollment_requested'>) => {
        await ports.seats.reserve(start.data.courseId)
        return done({ emit: [{ type: 'seat_reserved', data: start.data }] })
      },
      undo,
    }),
    step('pay', {
      call,
      undo,
      awaits: {
        payment_completed: succeed,
        payment_failed: fail,
        by: (event) => event.data.enrollmentId,
        within: '30 minutes',
      },
    }),
    step('confirm', { call, pivot: true }),
  ],
})

// @ts-expect-error: no such event
saga({ ...base, startedBy: 'enrolment_requested', steps: [] })

// @ts-expect-error: not a duration
saga({ ...base, deadline: '1 fortnight', steps: [] })

// A step that reads a field which the starting event does not have.
export const reads = async ({ start }: StepContext<Ports, 'enrollment_requested'>): Promise<Outcome> =>
  // @ts-expect-error: there is no courseid
  done({ result: start.data.courseid })

// A step of another saga: its start is another event.
const reserve = step('x', { call: async (_: StepContext<Ports, 'enrollment_requested'>) => done() })
// @ts-expect-error: enrollment_requested, not payment_initiated
saga({ ...base, startedBy: 'payment_initiated', steps: [reserve] })

// A step whose ports the saga's effects do not have.
interface Crm {
  readonly crm: string
}
const mark = step('x', { call: async (_: StepContext<Crm, 'enrollment_requested'>) => done() })
// @ts-expect-error: no crm
saga({ ...base, steps: [mark] })

// Waiting for an event that is not in the schemas.
step('x', {
  call,
  awaits: {
    // @ts-expect-error: no such event
    payment_complete: succeed,
    by: (event) => event.subject,
    within: '1 minute',
  },
})

// Telling whom an event is for by a field that one of the awaited events does not have.
step('x', {
  call,
  awaits: {
    payment_completed: succeed,
    seat_released: succeed,
    // @ts-expect-error: seat_released has no provider
    by: (event) => event.data.provider,
    within: '1 minute',
  },
})

// Waiting without an end, or for anybody.
// @ts-expect-error: within is missing
step('x', { call, awaits: { payment_completed: succeed, by: (event) => event.data.enrollmentId } })
// @ts-expect-error: by is missing
step('x', { call, awaits: { payment_completed: succeed, within: '1 minute' } })

// An event that does not exist, or with the wrong data.
// @ts-expect-error: no such event
step('x', { call: async () => done({ emit: [{ type: 'seat_taken', data: {} }] }) })
// @ts-expect-error: enrollmentId and leadId are missing
step('x', { call: async () => done({ emit: [{ type: 'seat_reserved', data: { courseId: 'C-1' } }] }) })

// An undo that refuses: what was done has to be taken back.
// @ts-expect-error: done, nothing else
step('x', { call, undo: async () => ({ is: 'refused', reason: 'no' }) })
