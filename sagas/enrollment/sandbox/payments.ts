import type { NewEvent } from '../../../src/define/event.ts'
import type { EffectTools } from '../../../src/define/saga.ts'
import type { Payments } from '../ports.ts'

/**
 * A payment provider that answers by and by, as real ones do: `start` only takes the request, the rest is told
 * by events, at least once, with the same ids each time. What it does goes by the payment method:
 * `pm_card_chargeDeclined` is refused, `pm_embudo_silent` never answers, `pm_embudo_slow` answers after five
 * seconds, `pm_embudo_flaky` cannot be reached twice, every other one succeeds.
 */
export const sandboxPayments = {
  // `notices` grows, `told` counts how many of them the log has.
  tables: `
    create table if not exists sandbox.payments (
      payment_id text primary key,
      key text not null unique,
      enrollment_id text not null default '',
      lead_id text not null default '',
      amount numeric not null default 0,
      currency text not null default '',
      method text not null default '',
      state text not null check (state in ('unreached', 'pending', 'charged', 'declined', 'voided', 'refunded')),
      calls integer not null default 1,
      due_at timestamptz,
      notices text[] not null default '{}',
      told integer not null default 0,
      tell_at timestamptz,
      refunded_under text,
      at timestamptz not null default now()
    );
    create index if not exists payments_due on sandbox.payments (due_at) where due_at is not null;
    create index if not exists payments_tell on sandbox.payments (tell_at) where tell_at is not null`,

  connect(tools: EffectTools): Payments {
    let quietRounds = 0
    tools.repeat(20, async () => {
      // After a second without news it looks twice a second.
      if (quietRounds++ > 50 && quietRounds % 25 !== 0) return
      const news = (await answerDue(tools)) + (await tellNotices(tools))
      if (news > 0) quietRounds = 0
    })
    return {
      start(request) {
        quietRounds = 0
        return start(tools, request)
      },
      refund(request) {
        quietRounds = 0
        return refund(tools, request)
      },
    }
  },
}

const start = async ({ sql }: EffectTools, request: Parameters<Payments['start']>[0]) => {
  const { key, enrollmentId, leadId, amount, currency, paymentMethod } = request
  const unreachable = paymentMethod === 'pm_embudo_flaky' ? 2 : 0
  const [row] = await sql(
    `insert into sandbox.payments as p (payment_id, key, enrollment_id, lead_id, amount, currency, method, state)
     values (${paymentIdOf('$1')}, $1, $2, $3, $4, $5, $6, 'unreached')
     on conflict (key) do update set calls = p.calls + 1
     returning payment_id, calls, state`,
    [key, enrollmentId, leadId, amount, currency, paymentMethod],
  )
  if (row?.state === 'unreached' && Number(row.calls) <= unreachable) {
    throw new Error('the payment provider cannot be reached')
  }
  await sql(
    `update sandbox.payments set state = 'pending', notices = notices || 'payment_initiated'::text, tell_at = now(),
       due_at = now() + $2 * interval '1 millisecond' where key = $1 and state = 'unreached'`,
    [key, answersAfterMs(paymentMethod)],
  )
  return { paymentId: String(row?.payment_id) }
}

/** Null: never. */
const answersAfterMs = (paymentMethod: string): number | null => {
  if (paymentMethod === 'pm_embudo_silent') return null
  return paymentMethod === 'pm_embudo_slow' ? 5_000 : 0
}

/**
 * Money that was charged goes back, a payment that is still open is voided, and one that was never started is
 * there as voided: neither can be charged after that.
 */
const refund = async ({ sql }: EffectTools, { key, startedUnder }: Parameters<Payments['refund']>[0]) => {
  await sql(
    `insert into sandbox.payments as p (payment_id, key, state, refunded_under)
     values (${paymentIdOf('$1')}, $1, 'voided', $2)
     on conflict (key) do update set
       state = case p.state when 'charged' then 'refunded' else 'voided' end,
       notices = case p.state when 'charged' then p.notices || 'payment_refunded'::text else p.notices end,
       tell_at = case p.state when 'charged' then now() else p.tell_at end,
       due_at = null, refunded_under = $2
     where p.state in ('unreached', 'pending', 'charged')`,
    [startedUnder, key],
  )
}

const answerDue = async ({ sql }: EffectTools): Promise<number> => {
  const answered = await sql(
    `update sandbox.payments p set
       state = case when p.method = 'pm_card_chargeDeclined' then 'declined' else 'charged' end,
       notices = p.notices || case when p.method = 'pm_card_chargeDeclined' then array['payment_failed']
         else array['payment_authorized', 'payment_completed'] end,
       tell_at = now(), due_at = null
     where p.payment_id in (select payment_id from sandbox.payments where due_at <= now() and state = 'pending'
       order by due_at limit 500 for update skip locked)
     returning 1`,
  )
  return answered.length
}

/** Takes payments with news for two seconds; if this process dies meanwhile, another tells them again. */
const tellNotices = async ({ sql, append }: EffectTools): Promise<number> => {
  const payments = await sql(
    `update sandbox.payments set tell_at = now() + interval '2 seconds'
     where payment_id in (select payment_id from sandbox.payments where tell_at <= now()
       order by tell_at limit 500 for update skip locked)
     returning payment_id, enrollment_id, lead_id, amount::text, currency, notices, told`,
  )
  if (payments.length === 0) return 0
  await Promise.all(payments.flatMap((payment) => eventsOf(payment).map(append)))
  await sql(
    `update sandbox.payments p set told = greatest(p.told, t.told),
       tell_at = case when cardinality(p.notices) > t.told then now() end
     from unnest($1::text[], $2::integer[]) as t (payment_id, told) where p.payment_id = t.payment_id`,
    [
      payments.map((payment) => payment.payment_id),
      payments.map((payment) => (payment.notices as string[]).length),
    ],
  )
  return payments.length
}

const eventsOf = (payment: Record<string, unknown>): NewEvent[] => {
  const data = {
    paymentId: String(payment.payment_id),
    leadId: String(payment.lead_id),
    enrollmentId: String(payment.enrollment_id),
    amount: String(payment.amount),
    currency: String(payment.currency),
    provider: 'sandbox',
  }
  return (payment.notices as PaymentEvent[]).slice(Number(payment.told)).map((type): NewEvent => {
    const envelope = { id: `${data.paymentId}:${type}`, source: 'payments:sandbox' }
    return type === 'payment_failed'
      ? { ...envelope, type, data: { ...data, reason: 'card_declined' } }
      : { ...envelope, type, data: { ...data } }
  })
}

type PaymentEvent = Extract<NewEvent['type'], `payment_${string}`>

const paymentIdOf = (key: string): string =>
  `'pay_' || left(encode(sha256(convert_to(${key}, 'UTF8')), 'hex'), 24)`
