import type { Pool, PoolClient } from 'pg'
import type { DistinctBatch } from '../consumer/distinct.ts'
import { type Advance, movePositions, type Position } from '../consumer/positions.ts'
import type { Catalog } from '../define/catalog.ts'
import type { DomainEvent } from '../define/event.ts'
import type { AwaitsDefinition, SagaDefinition } from '../define/saga.ts'
import type { TopicDefinition } from '../define/topic.ts'
import type { Codec } from '../log/codec.ts'
import { transaction } from '../postgres/transaction.ts'
import { sagaIdOf } from './deterministic-id.ts'
import { writeJournal } from './store.ts'

/** All versions of one saga: the newest is what starts, the others are only finished. */
export interface SagaVersions {
  readonly newest: SagaDefinition
  readonly all: readonly SagaDefinition[]
}

/**
 * Takes what one saga type needs from the log: sagas to start, and events that sagas await. They and the
 * position are one transaction, and each is a no-op when it is there already, so reading the log again starts
 * nothing and delivers nothing twice. No effect runs here.
 */
export const takeIn = async (
  pool: Pool,
  versions: SagaVersions,
  position: Position,
  events: readonly DomainEvent[],
  to: Advance,
): Promise<Position> =>
  transaction(pool, async (client) => {
    const [moved] = await movePositions(client, [{ position, to }])
    await startNew(
      client,
      versions.newest,
      events.filter(({ type }) => type === versions.newest.startedBy),
    )
    await deliver(client, versions, events)
    return moved!
  })

/** The events of a batch that the saga type starts by or awaits; the others are not decoded. */
export const eventsOfInterest = async (
  codec: Codec,
  types: ReadonlySet<string>,
  batch: DistinctBatch,
): Promise<DomainEvent[]> => {
  const events: DomainEvent[] = []
  for (const record of batch.records) {
    if (record.value === null) continue
    const writer = codec.writerOf(record.value) ?? (await codec.learn(record.value))
    if (types.has(writer.event.type)) events.push(copied(codec.event(record, batch.topic, batch.partition)))
  }
  return events
}

/** The codec's events read themselves from the fetched bytes; what is stored is plain data. */
const copied = (event: DomainEvent): DomainEvent => ({
  type: event.type,
  id: event.id,
  source: event.source,
  time: event.time,
  subject: event.subject,
  data: event.data,
  topic: event.topic,
  partition: event.partition,
  offset: event.offset,
  appendedAtMs: event.appendedAtMs,
  correlationId: event.correlationId,
  causationId: event.causationId,
  traceparent: event.traceparent,
})

/** All sagas as readers of the log, and the topics of the events that they need. */
export const sagaReaders = (
  definitions: readonly SagaDefinition[],
  catalog: Catalog,
): { readonly name: string; readonly topics: readonly TopicDefinition[] }[] =>
  versionsOf(definitions).map((versions) => ({
    name: readerOf(versions),
    topics: topicsOf(versions, catalog),
  }))

export const readerOf = ({ newest }: SagaVersions): string => `saga:${newest.name}`

export const topicsOf = (versions: SagaVersions, catalog: Catalog): TopicDefinition[] => [
  ...new Set([...typesOfInterest(versions)].map((type) => catalog.events.get(type)!.topic)),
]

export const versionsOf = (definitions: readonly SagaDefinition[]): SagaVersions[] =>
  [...Map.groupBy(definitions, ({ name }) => name).values()].map((all) => ({
    all,
    newest: all.toSorted((a, b) => b.version - a.version)[0]!,
  }))

export const typesOfInterest = ({ newest, all }: SagaVersions): Set<string> =>
  new Set([newest.startedBy, ...awaits(all).flatMap(({ verdicts }) => [...verdicts.keys()])])

const awaits = (definitions: readonly SagaDefinition[]): AwaitsDefinition[] =>
  definitions.flatMap(({ steps }) => steps.flatMap((step) => step.awaits ?? []))

const startNew = async (
  client: PoolClient,
  definition: SagaDefinition,
  starts: readonly DomainEvent[],
): Promise<void> => {
  if (starts.length === 0) return
  const { rows } = await client.query<{ id: string }>({
    name: 'saga_start',
    text: `insert into embudo.sagas (id, type, version, subject, state, step, attempt, failures, undo, results, start, due_at)
      select id, $2, $3, subject, 'RUNNING', $4, 0, 0, '[]', '{}', start, now()
      from unnest($1::uuid[], $5::text[], $6::json[]) as s (id, subject, start) order by id
      on conflict (id) do nothing returning id`,
    values: [
      starts.map(({ subject }) => sagaIdOf(definition.name, subject)),
      definition.name,
      definition.version,
      definition.steps[0]!.name,
      starts.map(({ subject }) => subject),
      starts.map((start) => JSON.stringify(start)),
    ],
  })
  const started = { step: null, what: 'started', attempt: null, error: null }
  await writeJournal(
    client,
    rows.map(({ id }) => ({ id, entry: started })),
  )
}

/** Puts awaited events into the inbox, and wakes the sagas that wait. */
const deliver = async (
  client: PoolClient,
  { newest, all }: SagaVersions,
  events: readonly DomainEvent[],
): Promise<void> => {
  const mail = events.flatMap((event) => {
    const subject = awaits(all)
      .find(({ verdicts }) => verdicts.has(event.type))
      ?.by(event as DomainEvent<never>)
    return subject === undefined ? [] : [{ id: sagaIdOf(newest.name, subject), event }]
  })
  if (mail.length === 0) return
  const { rows: fresh } = await client.query<{ saga_id: string; type: string }>({
    name: 'saga_deliver',
    text: `insert into embudo.saga_inbox (saga_id, source, event_id, type, event)
      select id, source, event_id, type, event
      from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::json[])
        with ordinality as e (id, source, event_id, type, event, n) order by n
      on conflict do nothing returning saga_id, type`,
    values: [
      mail.map(({ id }) => id),
      mail.map(({ event }) => event.source),
      mail.map(({ event }) => event.id),
      mail.map(({ event }) => event.type),
      mail.map(({ event }) => JSON.stringify(event)),
    ],
  })
  if (fresh.length === 0) return
  // Locked whatever their state: a saga that is just about to wait either sees the inbox afterwards, or has
  // stored that it waits before we look.
  const { rows } = await client.query<{ id: string; state: string; step: string }>({
    name: 'saga_lock',
    text: 'select id, state, step from embudo.sagas where id = any($1::uuid[]) order by id for update',
    values: [fresh.map((row) => row.saga_id)],
  })
  const states = new Map(rows.map((row) => [row.id, row.state]))
  const woken = rows.filter(({ state }) => state === 'WAITING').map(({ id }) => id)
  if (woken.length > 0) {
    await client.query({
      name: 'saga_wake',
      text: 'update embudo.sagas set due_at = now() where id = any($1::uuid[])',
      values: [woken],
    })
  }
  await writeJournal(
    client,
    fresh
      .filter((row) => !['RUNNING', 'WAITING', undefined].includes(states.get(row.saga_id)))
      .map((row) => ({
        id: row.saga_id,
        entry: { step: null, what: `${row.type} came too late`, attempt: null, error: null },
      })),
  )
}
