import { fail, saga, step, succeed } from '../../src/define/saga.ts'
import { sandbox } from './sandbox.ts'
import {
  cancelled,
  confirmEnrollment,
  markCustomer,
  refundPayment,
  releaseSeat,
  reserveSeat,
  startPayment,
  unmarkCustomer,
} from './steps.ts'

/** From a request to a paid seat. The CRM comes after the money, so that a refused payment leaves it untouched. */
export default saga({
  name: 'enrollment',
  version: 1,
  startedBy: 'enrollment_requested',
  deadline: '1 day',
  effects: sandbox,
  steps: [
    step('reserve_seat', { call: reserveSeat, undo: releaseSeat }),
    step('take_payment', {
      call: startPayment,
      undo: refundPayment,
      awaits: {
        payment_completed: succeed,
        payment_failed: fail,
        by: (event) => event.data.enrollmentId,
        within: '30 seconds',
      },
    }),
    step('update_crm', { call: markCustomer, undo: unmarkCustomer }),
    step('confirm', { call: confirmEnrollment, pivot: true }),
  ],
  compensated: cancelled,
})
