/**
 * What an enrollment does to the world. Each call carries an idempotency key: the same key gives the same answer
 * and is done once. What takes something back names the key that it was done under; it comes also where that
 * call never arrived, and from then on that call must do nothing.
 */
export interface EnrollmentPorts {
  readonly seats: Seats
  readonly payments: Payments
  readonly crm: Crm
}

export interface Seats {
  reserve(request: { key: string; courseId: string; enrollmentId: string }): Promise<'reserved' | 'full'>
  /** Answers whether there was a seat to release. */
  release(request: { key: string; reservedUnder: string }): Promise<boolean>
}

export interface Payments {
  /** Asks for the money. Whether it comes is said later, by payment_completed or payment_failed in the log. */
  start(request: {
    key: string
    enrollmentId: string
    leadId: string
    amount: string
    currency: string
    paymentMethod: string
  }): Promise<{ paymentId: string }>
  /** Gives back what was charged, and makes sure that nothing will be charged any more. */
  refund(request: { key: string; startedUnder: string }): Promise<void>
}

export interface Crm {
  markCustomer(request: { key: string; leadId: string; courseId: string }): Promise<void>
  unmarkCustomer(request: { key: string; markedUnder: string }): Promise<void>
}
