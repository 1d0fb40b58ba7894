import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import type { ClickHouseClient } from '@clickhouse/client'
import type pg from 'pg'
import type { Logger } from 'pino'
import { corrections as correctionsTopic } from '../schemas/corrections/topic.ts'
import * as generated from '../schemas/events.generated.ts'
import type { Config } from './config.ts'
import { makeFeeds } from './consumer/feeds.ts'
import { joinMembership } from './consumer/membership.ts'
import { mirrorPositions } from './consumer/mirror.ts'
import { type FollowedCorrections, readCorrections } from './dead-letter/corrections.ts'
import { findParked } from './dead-letter/list.ts'
import { settleDecided } from './dead-letter/settle.ts'
import { type Catalog, catalogOf, type GeneratedSchemas, sendable, topicName } from './define/catalog.ts'
import type { SagaDefinition } from './define/saga.ts'
import { createApp } from './http/app.ts'
import { crossOrigin } from './http/cors.ts'
import { deadLetterRoutes } from './http/dead-letter-routes.ts'
import { healthOf } from './http/health.ts'
import { type HealthOperations, healthRoutes, sagaRoutes } from './http/operations.ts'
import { projectionRoutes } from './http/projection-routes.ts'
import { reconciliationRoutes } from './http/reconciliation-routes.ts'
import { repairRoutes } from './http/repair-routes.ts'
import type { Route } from './http/route.ts'
import { createHttpServer } from './http/server.ts'
import { ingestion } from './ingest/ingestion.ts'
import { uuidV7 } from './ingest/uuid-v7.ts'
import { eventValidator } from './ingest/validate.ts'
import { Codec } from './log/codec.ts'
import { recordEncoder } from './log/event-record.ts'
import { kafkaLog } from './log/kafka-log.ts'
import type { Log } from './log/port.ts'
import { type Registry, schemaRegistry } from './log/registry.ts'
import { deadLetterOperations } from './operators.ts'
import { clickhouseClient, kafkaOptions, postgresPool, registryOptions, topicSpec } from './outside.ts'
import { migrate } from './postgres/migrate.ts'
import { passThrough } from './privacy/pass-through.ts'
import { clusterAt } from './projection/clickhouse/cluster.ts'
import { liveEventTables } from './projection/clickhouse/live-tables.ts'
import { storedCounts } from './projection/clickhouse/stored-counts.ts'
import { mendDecided } from './projection/decided-rows.ts'
import { isInPostgres, loadProjections, type Projection } from './projection/definition.ts'
import { feedsNothing, generationKinds } from './projection/kinds.ts'
import { letterRelease } from './projection/letters.ts'
import { projectionLifecycle } from './projection/lifecycle.ts'
import { startProjections } from './projection/manager.ts'
import { pace } from './projection/pace.ts'
import { listProjections, livePositions, type ProjectionQueryParts } from './projection/queries.ts'
import { type ReaderWatch, readerWatch } from './projection/reader-watch.ts'
import { repairProjection } from './projection/repair.ts'
import { analyticsRoutes } from './query/analytics/routes.ts'
import { leadListing } from './query/lead-listing.ts'
import { leadRoutes } from './query/lead-routes.ts'
import { readModelRoutes } from './query/read-model-routes.ts'
import { clickhouseHistory } from './query/subject-history.ts'
import { sagaReaders } from './saga/intake.ts'
import { loadSagas } from './saga/load.ts'
import { countOpenSagas, listSagas, showSaga } from './saga/queries.ts'
import { startSagas } from './saga/start.ts'
import { listen } from './supervisor/port.ts'
import type { Role, Served } from './supervisor/serve.ts'
import { shareLoad } from './supervisor/share-load.ts'
import type { Siblings } from './supervisor/siblings.ts'
import { joinExpositions } from './telemetry/exposition.ts'
import { createLogger } from './telemetry/logger.ts'
import { measuredLog } from './telemetry/measured-log.ts'
import { createMetrics, type Metrics } from './telemetry/metrics.ts'
import { batchObserver, effectObserver } from './telemetry/observers.ts'
import { requestSpans } from './telemetry/request-spans.ts'
import type { Tracing } from './telemetry/span.ts'
import { startTracing } from './telemetry/tracing.ts'

const root = join(import.meta.dirname, '..')

const apiDescription =
  'Events in, read models and analytics out. Everything that is read was derived from a log of events.'

/** What every role is built from. */
interface Parts {
  readonly config: Config
  readonly logger: Logger
  readonly metrics: Metrics
  readonly siblings: Siblings | undefined
  readonly tracing: Tracing
  readonly catalog: Catalog
  readonly registry: Registry
  readonly codec: Codec
  readonly log: Log
  readonly corrections: FollowedCorrections
  /** Commits synchronously: epochs, journals, states. */
  readonly pool: pg.Pool
  /** Commits without waiting for the disk: rows and positions go together, and are read again together. */
  readonly projectionPool: pg.Pool
  readonly clickhouse: ClickHouseClient
  readonly projections: readonly Projection[]
  readonly sagas: readonly SagaDefinition[]
  readonly watch: ReaderWatch
}

/**
 * Builds the parts of some roles, joins them, and starts them in order; stopping undoes that in reverse. The
 * configuration must have the address of every outside part.
 */
export const startApp = async (
  config: Config,
  roles: ReadonlySet<Role>,
  siblings?: Siblings,
): Promise<Served> => {
  await using building = new AsyncDisposableStack()
  const parts = await buildParts(config, [...roles].join('+'), siblings, building)
  let isReady = false
  const server = await startHttp(parts, roles, () => isReady)
  building.use(server)
  if (roles.has('project') || roles.has('saga')) await startWork(parts, roles, building)
  isReady = true
  // Before anything else is undone, load balancers are told and what was accepted is finished.
  building.defer(async () => {
    isReady = false
    await delay(config.EMBUDO_STOP_DELAY_MS)
    await server[Symbol.asyncDispose]()
  })
  const started = building.move()
  parts.logger.info({ roles: [...roles], address: server.address }, 'serving')
  return { address: server.address, [Symbol.asyncDispose]: () => started.disposeAsync() }
}

const buildParts = async (
  config: Config,
  role: string,
  siblings: Siblings | undefined,
  stack: AsyncDisposableStack,
): Promise<Parts> => {
  const logger = createLogger({ level: config.EMBUDO_LOG_LEVEL, role })
  const metrics = createMetrics(role, siblings?.number)
  siblings?.tell(() => metrics.registry.metrics())
  const tracing = stack.use(
    await startTracing({
      otlpEndpoint: config.OTEL_EXPORTER_OTLP_ENDPOINT,
      jaegerEndpoint: config.OTEL_EXPORTER_JAEGER_ENDPOINT,
      serviceName: config.OTEL_SERVICE_NAME,
      onProblem: (message) => logger.warn({ message }, 'traces are not delivered'),
    }),
  )
  const catalog = catalogOf(generated as unknown as GeneratedSchemas)
  const pool = stack.adopt(postgresPool(config, logger, 'on'), (it) => it.end())
  const projectionPool = stack.adopt(postgresPool(config, logger, 'off'), (it) => it.end())
  const clickhouse = stack.adopt(clickhouseClient(config), (it) => it.close())
  const registry = schemaRegistry(registryOptions(config))
  const [log, ids, projections, sagas] = await Promise.all([
    kafkaLog(kafkaOptions(config), { notes: logger }),
    registry.register(catalog, config.EMBUDO_TOPIC_PREFIX),
    loadProjections(join(root, 'projections')),
    loadSagas(join(root, 'sagas')),
    migrate(config.DATABASE_URL!, logger),
  ])
  stack.use(log)
  await log.ensureTopics(catalog.topics.map((topic) => topicSpec(config, topic)))
  const codec = new Codec(catalog, ids, registry.fetch)
  const prefix = config.EMBUDO_TOPIC_PREFIX
  const corrections = await readCorrections({ log, codec, prefix, topic: correctionsTopic, logger })
  stack.use(corrections)
  metrics.levels(
    'embudo_corrections_unreadable',
    'Records of the topic of corrections that are no decision, passed over since the start.',
    [],
    async () => [[{}, corrections.unreadable]],
  )
  return {
    ...{ config, logger, metrics, siblings, tracing, catalog, registry, codec, corrections },
    ...{ pool, projectionPool, clickhouse, projections, sagas },
    log: measuredLog(log, metrics.append),
    watch: readerWatch({
      ...{ log, pool, catalog, prefix, projections, sagas: sagaReaders(sagas, catalog) },
      countStored: storedCounts(clickhouse),
      stalledAfterMs: config.EMBUDO_STALLED_AFTER_MS,
      reconcileEveryMs: config.EMBUDO_RECONCILE_EVERY_MS,
    }),
  }
}

const startHttp = async (parts: Parts, roles: ReadonlySet<Role>, isReady: () => boolean) => {
  const { config, logger, codec, log, metrics, siblings, tracing } = parts
  const catalog = sendable(parts.catalog)
  const newId = uuidV7()
  const validate = eventValidator({ catalog, personal: passThrough, nowMs: Date.now, newId })
  const toRecord = recordEncoder(codec, config.EMBUDO_TOPIC_PREFIX)
  const onError = (error: unknown, requestId?: string) =>
    logger.error({ err: error, requestId }, 'unforeseen error')

  const spans = requestSpans(tracing)
  const taking = !roles.has('ingest')
    ? undefined
    : ingestion(
        {
          ...{ catalog, log, validate, toRecord, newId, onError },
          prefix: config.EMBUDO_TOPIC_PREFIX,
          registry: metrics.registry,
          wait: (ms) => delay(ms),
          ...(tracing.enabled ? { traceparent: spans.traceparentOf } : {}),
        },
        {
          maxInFlightBytes: config.EMBUDO_MAX_IN_FLIGHT_BYTES,
          maxBodyBytes: config.EMBUDO_MAX_BODY_BYTES,
          maxLineBytes: config.EMBUDO_MAX_LINE_BYTES,
        },
      )
  // Left to itself, V8 lets the garbage of a long stream grow to three times what is alive before it looks.
  if (taking !== undefined && !roles.has('project')) setFlagsFromString('--heap-growing-percent=70')
  const routes: Route[] = [...(taking?.routes ?? [])]
  if (roles.has('query')) routes.push(...readingRoutes(parts))
  routes.push(...healthRoutes(healthOperations(parts, isReady)))

  const app = createApp({
    routes,
    info: { title: 'embudo', version: packageVersion(), description: apiDescription },
    onError,
    admit: taking?.admit,
  })
  const { server, drain } = createHttpServer({
    ingest: taking && tracing.enabled ? spans.around('/api/events', taking.take) : taking?.take,
    app,
    crossOrigin: crossOrigin(config.EMBUDO_CORS_ORIGINS),
    limits: { maxConnections: config.EMBUDO_MAX_CONNECTIONS },
    onDropped: taking?.connectionDropped,
    onStopping: taking?.stop,
  })
  const address = await listen(server, config)
  if (siblings !== undefined) shareLoad(server, siblings)
  return { address, [Symbol.asyncDispose]: () => drain(10_000) }
}

const readingRoutes = (parts: Parts): Route[] => {
  const { config, catalog, codec, pool, clickhouse, projections } = parts
  const prefix = config.EMBUDO_TOPIC_PREFIX
  const partitions = new Map(catalog.topics.map((topic) => [topicName(prefix, topic), topic.partitions]))
  const reading = {
    pool,
    personal: passThrough,
    partitionsOf: (topic: string) => partitions.get(topic),
    readPositions: (model: string) => livePositions(pool, model),
    findParked: (model: string, places: Parameters<typeof findParked>[2]) => findParked(pool, model, places),
    readWaitMs: config.EMBUDO_READ_WAIT_MS,
    nowMs: () => performance.now(),
    wait: (ms: number) => delay(ms),
  }
  const models = projections.filter(isInPostgres)
  const profile = models.find((model) => model.name === 'lead_profile')
  const queryParts = projectionQueryParts(parts)
  const tables = liveEventTables(pool, 'events', () => performance.now())
  return [
    ...readModelRoutes({ ...reading, models, prefix }),
    ...(profile === undefined
      ? []
      : leadRoutes({
          ...reading,
          listing: leadListing(profile),
          model: { name: profile.name, topic: topicName(prefix, profile.topic) },
          historyOf: { name: 'events' },
          history: clickhouseHistory({ clickhouse, catalog, tables }),
        })),
    ...analyticsRoutes({ clickhouse, catalog: sendable(catalog), tables }),
    ...projectionRoutes({
      list: () => shownProjections(parts),
      ...projectionLifecycle({
        ...queryParts,
        kinds: generationKinds(projections, { ...kindParts(parts), ...feedsNothing }),
      }),
    }),
    ...reconciliationRoutes(parts.watch),
    ...deadLetterRoutes(deadLetterOperations({ ...parts, prefix })),
    ...repairRoutes({
      repair: (name, what, watch) =>
        repairProjection(
          {
            ...{ ...queryParts, codec },
            async corrections() {
              await parts.corrections.upToDate()
              return parts.corrections
            },
          },
          name,
          what,
          watch,
        ),
    }),
    ...sagaRoutes({
      list: (query) => listSagas(pool, query),
      show: (id) => showSaga(pool, id),
    }),
  ]
}

const projectionQueryParts = ({ config, catalog, pool, log, projections }: Parts): ProjectionQueryParts => ({
  ...{ catalog, pool, log, projections },
  prefix: config.EMBUDO_TOPIC_PREFIX,
})

const kindParts = ({ config, logger, codec, log, corrections, ...parts }: Parts) => {
  const { catalog, clickhouse, pool, projectionPool } = parts
  const cluster = clusterAt(config.EMBUDO_CLICKHOUSE_CLUSTER, config.EMBUDO_CLICKHOUSE_REPLICA_PATH)
  return {
    ...{ log, codec, logger, corrections, pool: projectionPool, prefix: config.EMBUDO_TOPIC_PREFIX },
    ...{ batchRecords: config.EMBUDO_BATCH_RECORDS, cacheRows: config.EMBUDO_CACHE_ROWS },
    maxPoisonedShare: config.EMBUDO_MAX_POISONED_SHARE,
    eventTables: { catalog, clickhouse, cluster, pool },
  }
}

const shownProjections = async (parts: Parts) =>
  await parts.watch.withMovement(await listProjections(projectionQueryParts(parts)))

const startWork = async (
  parts: Parts,
  roles: ReadonlySet<Role>,
  stack: AsyncDisposableStack,
): Promise<void> => {
  const {
    config,
    logger,
    catalog,
    codec,
    log,
    pool,
    projectionPool,
    projections,
    sagas,
    metrics,
    tracing,
    corrections,
  } = parts
  const prefix = config.EMBUDO_TOPIC_PREFIX
  const membership = stack.use(
    await joinMembership({ pool, worker: config.EMBUDO_WORKER_ID ?? randomUUID(), logger }),
  )
  const feeds = stack.use(makeFeeds(log))
  const shared = { log, pool, feeds, codec, catalog, corrections, prefix, membership, logger }
  const observe = batchObserver(metrics, tracing)
  const watching = { membership, logger, metrics }
  stack.use(parts.watch.start({ ...watching, list: () => shownProjections(parts) }))
  if (config.EMBUDO_MIRROR_OFFSETS) stack.use(mirrorPositions(shared))
  if (roles.has('project')) {
    const isMine = () => membership.ownsDuty('dead-letters')
    const settling = stack.adopt(new AbortController(), (stopping) => stopping.abort())
    stack.use(
      settleDecided({
        ...{ pool, corrections, isMine, logger, appendTimeoutMs: config.EMBUDO_APPEND_TIMEOUT_MS },
        release: letterRelease(parts),
        mend: mendDecided({ ...shared, projections, signal: settling.signal }),
      }),
    )
    const feeding = { membership, feeds, observe, pace: pace() }
    const kinds = generationKinds(projections, { ...kindParts(parts), ...feeding })
    const keepPreviousMs = config.EMBUDO_KEEP_PREVIOUS_MS
    stack.use(
      await startProjections(projections, {
        ...{ ...shared, ...feeding, kinds, keepPreviousMs, pool: projectionPool },
      }),
    )
  }
  if (roles.has('saga')) {
    metrics.collectSagas(() => countOpenSagas(pool))
    const limits = { within: config.EMBUDO_SAGA_WITHIN, maxInFlight: config.EMBUDO_SAGA_CONCURRENCY }
    stack.use(
      await startSagas({ ...shared, ...limits, sagas, pool, observe: effectObserver(metrics, tracing) }),
    )
  }
}

const healthOperations = (
  { log, registry, pool, clickhouse, metrics, siblings, watch, corrections }: Parts,
  isReady: () => boolean,
): HealthOperations => ({
  isReady,
  health: () =>
    healthOf(
      {
        kafka: () => log.ping(),
        registry: () => registry.ping(),
        postgres: () => pool.query('select 1'),
        clickhouse: async () => {
          const answer = await clickhouse.ping()
          if (!answer.success) throw answer.error
        },
      },
      { ...watch.concerns, corrections: async () => corrections.concern() },
    ),
  metrics: async () => ({
    contentType: metrics.registry.contentType,
    text: await (siblings?.askAll().then(joinExpositions) ?? metrics.registry.metrics()),
  }),
})

const packageVersion = (): string =>
  (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }).version
