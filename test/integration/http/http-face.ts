import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { Pool } from 'pg'
import { Registry } from 'prom-client'
import leadProfile from '../../../projections/lead_profile/projection.ts'
import webinarStats from '../../../projections/webinar_stats/projection.ts'
import * as generated from '../../../schemas/events.generated.ts'
import { catalogOf, topicName } from '../../../src/define/catalog.ts'
import { EmbudoError } from '../../../src/define/error.ts'
import type { DomainEvent } from '../../../src/define/event.ts'
import { createApp } from '../../../src/http/app.ts'
import { crossOrigin } from '../../../src/http/cors.ts'
import { healthRoutes, sagaRoutes } from '../../../src/http/operations.ts'
import { type ProjectionOperations, projectionRoutes } from '../../../src/http/projection-routes.ts'
import { reconciliationRoutes } from '../../../src/http/reconciliation-routes.ts'
import { type RepairOperations, repairRoutes } from '../../../src/http/repair-routes.ts'
import { createHttpServer, type HttpLimits } from '../../../src/http/server.ts'
import type { IngestLimits } from '../../../src/ingest/ingest.ts'
import { ingestion } from '../../../src/ingest/ingestion.ts'
import { uuidV7 } from '../../../src/ingest/uuid-v7.ts'
import { eventValidator } from '../../../src/ingest/validate.ts'
import { Codec } from '../../../src/log/codec.ts'
import { recordEncoder } from '../../../src/log/event-record.ts'
import { memoryLog } from '../../../src/log/memory-log.ts'
import { passThrough } from '../../../src/privacy/pass-through.ts'
import { leadListing } from '../../../src/query/lead-listing.ts'
import { leadRoutes } from '../../../src/query/lead-routes.ts'
import { readModelRoutes } from '../../../src/query/read-model-routes.ts'
import type { HistoryEvent } from '../../../src/query/subject-history.ts'

export const catalog = catalogOf(generated)

export const codec = (() => {
  const versions = [...catalog.events.values()].flatMap(({ type, versions }) =>
    versions.map(({ version }) => `${type}/${version}`),
  )
  const ids = new Map(versions.map((version, index) => [version, index + 1]))
  return new Codec(catalog, ids, () => Promise.reject(new Error('every schema is known')))
})()

/** What fetch sends. */
export type Body = NonNullable<RequestInit['body']>

interface FaceOptions {
  readonly pool?: Pick<Pool, 'query'>
  readonly limits?: Partial<IngestLimits> & { readonly maxInFlightBytes?: number }
  readonly positions?: () => ReadonlyMap<string, number>
  readonly history?: readonly HistoryEvent[]
  readonly readWaitMs?: number
  readonly projections?: Partial<ProjectionOperations>
  readonly http?: Partial<HttpLimits>
  readonly origins?: readonly string[]
  readonly repair?: RepairOperations['repair']
}

/** The whole HTTP face on a free port, with the log in memory. */
export const startFace = async (options: FaceOptions = {}) => {
  const log = memoryLog()
  const prefix = 'embudo.'
  await log.ensureTopics(
    catalog.topics.map((topic) => ({
      topic: topicName(prefix, topic),
      partitions: topic.partitions,
      replication: 1,
      settings: {},
    })),
  )
  const partitions = new Map(catalog.topics.map((topic) => [topicName(prefix, topic), topic.partitions]))
  const errors: unknown[] = []
  const newId = uuidV7()
  const registry = new Registry()
  const validate = eventValidator({ catalog, personal: passThrough, nowMs: Date.now, newId })
  const toRecord = recordEncoder(codec, prefix)
  const pool = options.pool ?? { query: (() => Promise.resolve({ rows: [] })) as unknown as Pool['query'] }
  const reading = {
    pool,
    personal: passThrough,
    partitionsOf: (topic: string) => partitions.get(topic),
    readPositions: async () => options.positions?.() ?? new Map<string, number>(),
    findParked: async () => undefined,
    readWaitMs: options.readWaitMs ?? 200,
    nowMs: Date.now,
    wait: (ms: number) => delay(ms),
  }
  const taking = ingestion(
    {
      ...{ catalog, prefix, log, validate, toRecord, newId, registry },
      wait: (ms) => delay(ms),
      onError: (error) => errors.push(error),
    },
    { maxInFlightBytes: 64 * 1024 * 1024, ...options.limits },
  )
  const routes = [
    ...taking.routes,
    ...leadRoutes({
      historyOf: { name: 'events' },
      ...reading,
      listing: leadListing(leadProfile),
      model: { name: 'lead_profile', topic: 'embudo.leads' },
      history: {
        events: async (_subject, after, limit) =>
          (options.history ?? [])
            .filter(({ offset }) => after === undefined || offset > after.offset)
            .slice(0, limit),
      },
    }),
    ...readModelRoutes({ ...reading, models: [leadProfile, webinarStats], prefix }),
    ...healthRoutes({
      health: async () => ({ status: 'ok', parts: { kafka: { status: 'ok' } } }),
      isReady: () => !http.isDraining(),
      metrics: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
    }),
    ...projectionRoutes({ ...noProjections, ...options.projections }),
    ...reconciliationRoutes({
      reconcile: async () => ({ addsUp: true, asOf: new Date().toISOString(), notCounted: null, items: [] }),
    }),
    ...repairRoutes(
      { repair: options.repair ?? (async (name) => ({ name, subjects: 0, changed: 0, failed: [] })) },
      { aliveEveryMs: 20, progressEveryMs: 20 },
    ),
    ...sagaRoutes({ list: async () => ({ items: [], nextCursor: null }), show: async () => undefined }),
  ]
  const http = createHttpServer({
    crossOrigin: crossOrigin(options.origins ?? []),
    // A test may connect long before it has something to say.
    limits: { headersTimeoutMs: 600_000, ...options.http },
    onDropped: taking.connectionDropped,
    onStopping: taking.stop,
    ingest: taking.take,
    app: createApp({
      routes,
      info: { title: 'embudo', version: '0.1.0', description: 'Events in, knowledge out.' },
      onError: (error) => errors.push(error),
      admit: taking.admit,
    }),
  })
  await new Promise<void>((resolve) => http.server.listen(0, '127.0.0.1', resolve))
  const { port } = http.server.address() as AddressInfo
  const url = `http://127.0.0.1:${port}`

  return {
    url,
    port,
    log,
    routes,
    /** Errors of the server's own making: none, if all is well. */
    errors,
    http,
    admission: taking.admission,
    post: (body: Body, headers: Record<string, string> = {}, path = '/api/events') =>
      fetch(`${url}${path}`, {
        method: 'POST',
        body,
        headers: { 'content-type': 'application/json', ...headers },
      }),
    /** Everything in the log, in the order of its partitions. */
    async appended(): Promise<DomainEvent<Record<string, unknown>>[]> {
      const events: DomainEvent<Record<string, unknown>>[] = []
      await using reader = log.reader()
      for (const { name } of catalog.topics) {
        const topic = `${prefix}${name}`
        for (const { partition, start, end } of await log.bounds(topic)) {
          if (start === end) continue
          const stop = new AbortController()
          for await (const batch of reader.read(topic, partition, start, stop.signal)) {
            events.push(...batch.records.map((record) => codec.event(record, topic, partition)))
            if (batch.records.at(-1)!.offset + 1 >= end) stop.abort()
          }
        }
      }
      return events
    },
    async [Symbol.asyncDispose]() {
      await http.drain(100)
      await log[Symbol.asyncDispose]()
    },
  }
}

const unknown = () => Promise.reject(new EmbudoError('unknown_projection', 'there is none'))
const noProjections: ProjectionOperations = {
  ...{ rebuild: unknown, verify: unknown, switch: unknown, rollback: unknown },
  ...{ pause: unknown, resume: unknown, drop: unknown },
  list: async () => [],
}

export const attended = (data: Record<string, unknown> = {}, envelope: Record<string, unknown> = {}) => ({
  type: 'webinar_attended',
  ...envelope,
  data: { leadId: 'L-1', webinarId: 'W-9', attendanceDuration: 2710, ...data },
})
