import type { Effects } from '../../src/define/saga.ts'
import type { EnrollmentPorts } from './ports.ts'
import { sandboxCrm } from './sandbox/crm.ts'
import { sandboxPayments } from './sandbox/payments.ts'
import { sandboxSeats } from './sandbox/seats.ts'

/**
 * Stands in for the booking system, the payment provider and the CRM: stateful, kept in Postgres, and told by the
 * request's data to fail or to time out. Put your own adapters in its place.
 */
export const sandbox: Effects<EnrollmentPorts> = {
  tables: [
    'create schema if not exists sandbox',
    sandboxSeats.tables,
    sandboxPayments.tables,
    sandboxCrm.tables,
  ].join(';\n'),
  connect: (tools) => ({
    seats: sandboxSeats.connect(tools),
    payments: sandboxPayments.connect(tools),
    crm: sandboxCrm.connect(tools),
  }),
}
