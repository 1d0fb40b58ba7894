import type { Pool, PoolClient } from 'pg'
import type { PreparedEvent } from '../log/event-appender.ts'
import { transaction } from '../postgres/transaction.ts'
import type { Appender } from './appender.ts'

/**
 * Appends what stands in the outbox, oldest first, and takes it out once the log has it: at least once, with
 * ids that stay. One process at a time, or two could swap the events of a subject. Answers how many it sent.
 */
export const publishOutbox = async (pool: Pool, appender: Appender, limit: number): Promise<number> =>
  transaction(pool, async (client) => {
    if (!(await isPublisher(client))) return 0
    const { rows } = await client.query<OutboxRow>({
      name: 'saga_outbox_read',
      text: `select seq, saga_id, event_id, type, source, time, data, causation_id, traceparent
        from embudo.saga_outbox order by seq limit $1`,
      values: [limit],
    })
    if (rows.length === 0) return 0
    await appender.append(rows.map(eventOf))
    await client.query({
      name: 'saga_outbox_sent',
      text: 'delete from embudo.saga_outbox where seq = any($1::bigint[])',
      values: [rows.map(({ seq }) => seq)],
    })
    return rows.length
  })

/** Held to the transaction's end, so that it goes with a process that dies. */
const isPublisher = async (client: PoolClient): Promise<boolean> => {
  const { rows } = await client.query<{ ours: boolean }>(
    "select pg_try_advisory_xact_lock(hashtextextended('embudo.saga_outbox', 0)) as ours",
  )
  return rows[0]!.ours
}

interface OutboxRow {
  readonly seq: string
  readonly saga_id: string
  readonly event_id: string
  readonly type: string
  readonly source: string
  readonly time: string
  readonly data: unknown
  readonly causation_id: string | null
  readonly traceparent: string | null
}

const eventOf = (row: OutboxRow): PreparedEvent => ({
  type: row.type,
  id: row.event_id,
  source: row.source,
  time: row.time,
  data: row.data,
  correlationId: row.saga_id,
  causationId: row.causation_id ?? undefined,
  traceparent: row.traceparent ?? undefined,
})
