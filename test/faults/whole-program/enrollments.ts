import { expect } from 'vitest'
import type { Program } from '../../program.ts'
import type { LogRecord } from './log-reader.ts'
import type { Stores } from './stores.ts'

export const enroll = async (
  program: Program,
  enrollmentId: string,
  paymentMethod: string,
  courseId = 'C-1',
): Promise<void> => {
  const leadId = `L-${enrollmentId}`
  const data = { enrollmentId, leadId, courseId, price: '49.00', currency: 'EUR', paymentMethod }
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

/** What of an enrollment is outside: the sandbox's booking system, payment provider and CRM. */
export const effectsOf = async (stores: Stores, enrollmentId: string) => {
  const of = async (sql: string) =>
    (await stores.postgres(sql, [enrollmentId])).map((row) => Object.values(row)[0])
  return {
    seats: await of('select state from sandbox.seat_reservations where enrollment_id = $1'),
    payments: await of('select state from sandbox.payments where enrollment_id = $1'),
    customers: await of("select is_customer from sandbox.crm_customers where lead_id = 'L-' || $1"),
  }
}

/** In the order of the log, without the doubles that a retry may leave: they have one id. */
export const eventsOf = (records: readonly LogRecord[], enrollmentId: string): string[] => {
  const mine = records.filter(({ data }) => data.enrollmentId === enrollmentId)
  return [...new Map(mine.map((record) => [`${record.source} ${record.id}`, record])).values()].map(
    ({ type }) => type,
  )
}
