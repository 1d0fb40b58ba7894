import type { Pool, PoolClient } from 'pg'
import type { DomainEvent } from '../define/event.ts'
import type { Decision, Emission } from './decision.ts'
import { type JournalEntry, type Saga, sagaStates } from './saga.ts'

/** A saga under a claim: what is written under it counts only while no later claim was made. */
export interface Claimed {
  readonly saga: Saga
  readonly claim: number
}

export interface SagaVersion {
  readonly type: string
  readonly version: number
}

/** Locks sagas that are due and that nobody else is locking. */
export const lockDue = async (
  client: PoolClient,
  versions: readonly SagaVersion[],
  limit: number,
  except: readonly string[],
): Promise<Claimed[]> => {
  const { rows } = await client.query<StoredSaga>({
    name: 'saga_lock_due',
    text: `select ${columns} from embudo.sagas
      where due_at <= now() and (type, version) in (select * from unnest($1::text[], $2::integer[]))
        and id <> all($4::uuid[])
      order by due_at limit $3 for update skip locked`,
    values: [versions.map(({ type }) => type), versions.map(({ version }) => version), limit, except],
  })
  return rows.map((row) => ({ saga: fromStored(row), claim: Number(row.claim) }))
}

/** Locks sagas that are claimed by us; those that have been claimed anew by others are left out. */
export const lockClaimed = async (client: PoolClient, claimed: readonly Claimed[]): Promise<Set<string>> => {
  const { rows } = await client.query<{ id: string; claim: string }>({
    name: 'saga_lock_claimed',
    // Everyone who locks many sagas locks them in the order of their ids, or two could wait for each other.
    text: 'select id, claim from embudo.sagas where id = any($1::uuid[]) order by id for update',
    values: [claimed.map(({ saga }) => saga.id)],
  })
  const claims = new Map(rows.map((row) => [row.id, Number(row.claim)]))
  return new Set(
    claimed.filter(({ saga, claim }) => claims.get(saga.id) === claim).map(({ saga }) => saga.id),
  )
}

export const databaseNowMs = async (client: PoolClient): Promise<number> => {
  const { rows } = await client.query<{ now: string }>(`select ${msOf('clock_timestamp()')} as now`)
  return Number(rows[0]!.now)
}

/** Moves the end of the lease on; answers those that are still ours. */
export const renewLeases = async (
  pool: Pool,
  claimed: readonly Claimed[],
  leaseMs: number,
): Promise<Set<string>> => {
  const { rows } = await pool.query<{ id: string }>({
    name: 'saga_renew',
    text: `with ours as (
        select s.id from embudo.sagas s join unnest($1::uuid[], $2::bigint[]) as c (id, claim) on s.id = c.id and s.claim = c.claim
        order by s.id for update of s)
      update embudo.sagas s set due_at = clock_timestamp() + $3 * interval '1 millisecond'
      from ours where s.id = ours.id returning s.id`,
    values: [claimed.map(({ saga }) => saga.id), claimed.map(({ claim }) => claim), leaseMs],
  })
  return new Set(rows.map(({ id }) => id))
}

/** Lets go of what was not finished, so that others need not wait for the end of the lease. */
export const releaseClaims = async (pool: Pool, claimed: readonly Claimed[]): Promise<void> => {
  await renewLeases(pool, claimed, 0)
}

/** The oldest event in the inbox that each of these sagas can take in the step where it waits. */
export const nextMail = async (
  client: PoolClient,
  waiting: readonly { readonly id: string; readonly types: readonly string[] }[],
): Promise<Map<string, DomainEvent>> => {
  if (waiting.length === 0) return new Map()
  const { rows } = await client.query<{ saga_id: string; type: string; event: DomainEvent }>({
    name: 'saga_mail',
    text: `select saga_id, type, event from embudo.saga_inbox
      where saga_id = any($1::uuid[]) and applied_at is null order by seq desc`,
    values: [waiting.map(({ id }) => id)],
  })
  const types = new Map(waiting.map((one) => [one.id, one.types]))
  const fitting = rows.filter((row) => types.get(row.saga_id)?.includes(row.type))
  return new Map(fitting.map((row) => [row.saga_id, row.event]))
}

export const markApplied = async (
  client: PoolClient,
  mail: ReadonlyMap<string, DomainEvent>,
): Promise<void> => {
  if (mail.size === 0) return
  const events = [...mail]
  await client.query({
    name: 'saga_mail_applied',
    text: `update embudo.saga_inbox i set applied_at = now()
      from unnest($1::uuid[], $2::text[], $3::text[]) as m (saga_id, source, event_id)
      where i.saga_id = m.saga_id and i.source = m.source and i.event_id = m.event_id`,
    values: [
      events.map(([id]) => id),
      events.map(([, event]) => event.source),
      events.map(([, event]) => event.id),
    ],
  })
}

/** Awaited events that nobody has taken by twice the longest deadline are nobody's. */
export const sweepInbox = async (pool: Pool, longestDeadlineMs: number): Promise<void> => {
  await pool.query(
    "delete from embudo.saga_inbox where received_at < now() - $1 * interval '1 millisecond'",
    [2 * longestDeadlineMs],
  )
}

/**
 * Stores what was decided for sagas that are locked. Those with something to run stay claimed: their due time is
 * the end of the lease, after which others take them over. The others are let go of, under a claim that nobody has.
 */
export const writeSagas = async (
  client: PoolClient,
  decided: readonly { readonly decision: Decision; readonly claim: number }[],
  leaseMs: number,
): Promise<void> => {
  const sagas = decided.map(({ decision }) => decision.saga)
  await client.query({
    name: 'saga_write',
    text: `update embudo.sagas s set
        state = u.state, step = u.step, attempt = u.attempt, failures = u.failures, undo = u.undo,
        results = u.results, reason = u.reason, wait_until = ${timeOf('u.wait_until')}, ended_at = ${timeOf('u.ended_at')},
        due_at = case when u.runs then clock_timestamp() + $1 * interval '1 millisecond' else ${timeOf('u.due_at')} end,
        claim = u.claim
      from unnest($2::uuid[], $3::text[], $4::text[], $5::integer[], $6::integer[], $7::json[], $8::json[], $9::text[],
        $10::double precision[], $11::double precision[], $12::double precision[], $13::boolean[], $14::bigint[])
        as u (id, state, step, attempt, failures, undo, results, reason, wait_until, ended_at, due_at, runs, claim)
      where s.id = u.id`,
    values: [
      leaseMs,
      sagas.map((saga) => saga.id),
      sagas.map((saga) => saga.state),
      sagas.map((saga) => saga.step),
      sagas.map((saga) => saga.attempt),
      sagas.map((saga) => saga.failures),
      sagas.map((saga) => JSON.stringify(saga.undo)),
      sagas.map((saga) => JSON.stringify(saga.results)),
      sagas.map((saga) => plainText(saga.reason)),
      sagas.map((saga) => saga.waitUntilMs),
      sagas.map((saga) => saga.endedAtMs),
      sagas.map((saga) => saga.dueAtMs),
      decided.map(({ decision }) => decision.run !== undefined),
      decided.map(({ decision, claim }) => (decision.run === undefined ? claim + 1 : claim)),
    ],
  })
  await writeJournal(
    client,
    decided.flatMap(({ decision }) => decision.journal.map((entry) => ({ id: decision.saga.id, entry }))),
  )
  await writeOutbox(
    client,
    decided.flatMap(({ decision }) => decision.emit.map((emission) => ({ saga: decision.saga, emission }))),
  )
}

export const writeJournal = async (
  client: PoolClient,
  entries: readonly { readonly id: string; readonly entry: JournalEntry }[],
): Promise<void> => {
  if (entries.length === 0) return
  await client.query({
    name: 'saga_journal',
    text: `insert into embudo.saga_journal (saga_id, step, what, attempt, error)
      select * from unnest($1::uuid[], $2::text[], $3::text[], $4::integer[], $5::text[])`,
    values: [
      entries.map(({ id }) => id),
      entries.map(({ entry }) => entry.step),
      entries.map(({ entry }) => entry.what),
      entries.map(({ entry }) => entry.attempt),
      entries.map(({ entry }) => plainText(entry.error)),
    ],
  })
}

const writeOutbox = async (
  client: PoolClient,
  emissions: readonly { readonly saga: Saga; readonly emission: Emission }[],
): Promise<void> => {
  if (emissions.length === 0) return
  await client.query({
    name: 'saga_outbox',
    text: `insert into embudo.saga_outbox (saga_id, event_id, type, source, time, data, causation_id, traceparent)
      select id, event_id, type, source,
        coalesce(time, to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')), data, causation_id, traceparent
      from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::json[], $7::text[], $8::text[])
        with ordinality as e (id, event_id, type, source, time, data, causation_id, traceparent, n) order by n`,
    values: [
      emissions.map(({ saga }) => saga.id),
      emissions.map(({ emission }) => emission.id),
      emissions.map(({ emission }) => emission.event.type),
      emissions.map(({ saga, emission }) => emission.event.source ?? `saga:${saga.type}`),
      emissions.map(({ emission }) => emission.event.time ?? null),
      emissions.map(({ emission }) => JSON.stringify(emission.event.data)),
      emissions.map(({ saga }) => saga.start.id),
      emissions.map(({ saga }) => saga.start.traceparent ?? null),
    ],
  })
}

/** Postgres takes no NUL; the errors of other systems may be of any length. */
const plainText = (text: string | null): string | null =>
  text === null ? null : text.replaceAll('\0', '').toWellFormed().slice(0, 2_000)

const msOf = (time: string): string => `(extract(epoch from ${time}) * 1000)::double precision`
const timeOf = (ms: string): string => `to_timestamp(${ms} / 1000)`

const columns = `id, type, version, subject, state, step, attempt, failures, undo, results, reason, start, claim,
  ${msOf('started_at')} as started_ms, ${msOf('wait_until')} as wait_until_ms,
  ${msOf('due_at')} as due_ms, ${msOf('ended_at')} as ended_ms`

interface StoredSaga extends Omit<Saga, 'startedAtMs' | 'waitUntilMs' | 'dueAtMs' | 'endedAtMs'> {
  readonly claim: string
  readonly started_ms: number
  readonly wait_until_ms: number | null
  readonly due_ms: number | null
  readonly ended_ms: number | null
}

const fromStored = (row: StoredSaga): Saga => ({
  id: row.id,
  type: row.type,
  version: row.version,
  subject: row.subject,
  start: row.start,
  startedAtMs: row.started_ms,
  state: sagaStates.find((state) => state === row.state)!,
  step: row.step,
  attempt: row.attempt,
  failures: row.failures,
  undo: row.undo,
  results: row.results,
  reason: row.reason,
  waitUntilMs: row.wait_until_ms,
  dueAtMs: row.due_ms,
  endedAtMs: row.ended_ms,
})
