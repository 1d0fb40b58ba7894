import type { EffectTools } from '../../../src/define/saga.ts'
import type { Crm } from '../ports.ts'

/** Remembers who is a customer of which course. */
export const sandboxCrm = {
  tables: `
    create table if not exists sandbox.crm_customers (
      key text primary key,
      lead_id text,
      course_id text,
      is_customer boolean not null,
      at timestamptz not null default now()
    )`,

  connect: ({ sql }: EffectTools): Crm => ({
    async markCustomer({ key, leadId, courseId }) {
      await sql(
        `insert into sandbox.crm_customers (key, lead_id, course_id, is_customer) values ($1, $2, $3, true)
         on conflict do nothing`,
        [key, leadId, courseId],
      )
    },
    async unmarkCustomer({ markedUnder }) {
      await sql(
        `insert into sandbox.crm_customers (key, is_customer) values ($1, false)
         on conflict (key) do update set is_customer = false`,
        [markedUnder],
      )
    },
  }),
}
