import type { NewEvent } from '../../src/define/event.ts'
import {
  type CompensatedContext,
  type Done,
  done,
  type Outcome,
  refused,
  type StepContext,
  type UndoContext,
} from '../../src/define/saga.ts'
import type { EnrollmentPorts } from './ports.ts'

type Context = StepContext<EnrollmentPorts, 'enrollment_requested'>
type Undo = UndoContext<EnrollmentPorts, 'enrollment_requested'>

export const reserveSeat = async ({ ports, start, idempotencyKey: key }: Context): Promise<Outcome> => {
  const { courseId, enrollmentId } = start.data
  const answer = await ports.seats.reserve({ key, courseId, enrollmentId })
  return answer === 'full'
    ? refused(`course ${courseId} has no seat left`)
    : done({ emit: [{ type: 'seat_reserved', data: enrollment(start) }] })
}

export const releaseSeat = async ({ ports, start, idempotencyKey: key, undoes }: Undo): Promise<Done> => {
  const released = await ports.seats.release({ key, reservedUnder: undoes })
  return done(released ? { emit: [{ type: 'seat_released', data: enrollment(start) }] } : {})
}

export const startPayment = async ({ ports, start, idempotencyKey: key }: Context): Promise<Outcome> => {
  const { enrollmentId, leadId, price: amount, currency, paymentMethod } = start.data
  return done({
    result: await ports.payments.start({ key, enrollmentId, leadId, amount, currency, paymentMethod }),
  })
}

export const refundPayment = async ({ ports, idempotencyKey: key, undoes }: Undo): Promise<Done> => {
  await ports.payments.refund({ key, startedUnder: undoes })
  return done()
}

export const markCustomer = async ({ ports, start, idempotencyKey: key }: Context): Promise<Outcome> => {
  await ports.crm.markCustomer({ key, leadId: start.data.leadId, courseId: start.data.courseId })
  return done()
}

export const unmarkCustomer = async ({ ports, idempotencyKey: key, undoes }: Undo): Promise<Done> => {
  await ports.crm.unmarkCustomer({ key, markedUnder: undoes })
  return done()
}

export const confirmEnrollment = async ({ start }: Context): Promise<Outcome> =>
  done({ emit: [{ type: 'enrollment_confirmed', data: enrollment(start) }] })

export const cancelled = ({ start, reason }: CompensatedContext<'enrollment_requested'>): NewEvent[] => [
  { type: 'enrollment_cancelled', data: { ...enrollment(start), reason } },
]

const enrollment = ({ data: { enrollmentId, leadId, courseId } }: Context['start']) => ({
  enrollmentId,
  leadId,
  courseId,
})
