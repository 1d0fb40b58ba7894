import { randomUUID } from 'node:crypto'
import leadProfile from '../../../projections/lead_profile/projection.ts'
import webinarStats from '../../../projections/webinar_stats/projection.ts'
import * as generated from '../../../schemas/events.generated.ts'
import { catalogOf, topicName } from '../../../src/define/catalog.ts'
import type { EmbeddedAddresses } from '../../../src/embedded/start.ts'
import { Codec } from '../../../src/log/codec.ts'
import { appendEvents, type PreparedEvent } from '../../../src/log/event-appender.ts'
import { kafkaLog } from '../../../src/log/kafka-log.ts'
import { schemaRegistry } from '../../../src/log/registry.ts'
import { patientAppendMs } from '../../program.ts'
import { applied, makeDatabase, startProjector } from '../projection/world.ts'

/** A topic of leads on real Kafka, a database, and the environment that leads a command to them. */
export const historyWorld = async (parts: EmbeddedAddresses) => {
  await using making = new AsyncDisposableStack()
  const prefix = `h${randomUUID().replaceAll('-', '').slice(0, 12)}.`
  const catalog = catalogOf(generated)
  const registry = schemaRegistry({ url: parts.registryUrl })
  const database = making.use(await makeDatabase(parts.databaseUrl))
  const log = making.use(
    await kafkaLog({
      ...{ brokers: parts.kafkaBrokers.split(','), clientId: 'history' },
      ...{ connectTimeoutMs: 60_000, requestTimeoutMs: 60_000, deliveryTimeoutMs: 300_000 },
    }),
  )
  const topic = topicName(prefix, leadProfile.topic)
  const { partitions } = leadProfile.topic
  await log.ensureTopics([{ topic, partitions, replication: 1, settings: {} }])
  const codec = new Codec(catalog, await registry.register(catalog, prefix), registry.fetch)
  const append = appendEvents(log, codec, catalog, prefix)
  const { pool } = database
  const made = making.move()
  return {
    ...{ prefix, topic, partitions, log, codec, catalog, pool },
    environment: {
      KAFKA_BROKERS: parts.kafkaBrokers,
      SCHEMA_REGISTRY_URL: parts.registryUrl,
      DATABASE_URL: database.url,
      EMBUDO_TOPIC_PREFIX: prefix,
      EMBUDO_DATA_DIR: '/nonexistent/embudo',
      EMBUDO_APPEND_TIMEOUT_MS: patientAppendMs,
    },
    append: (events: readonly PreparedEvent[]) => append(events),
    /** Until the project's read model and tally of leads have applied everything. */
    async project() {
      await using _ = await startProjector({
        log,
        pool,
        prefix,
        codec,
        projections: [leadProfile, webinarStats],
      })
      for (const { name } of [leadProfile, webinarStats]) await applied({ log, pool, topic }, name)
    },
    [Symbol.asyncDispose]: () => made.disposeAsync(),
  }
}

const minute = 60_000

/** Leads that register and attend, one a minute from 2026-10-01 on. */
export const leadsThatAttend = (leads: number): PreparedEvent[] =>
  Array.from({ length: leads }, (_, n): PreparedEvent[] => {
    const leadId = `L-${n}`
    const time = new Date(Date.UTC(2026, 9, 1) + n * minute).toISOString()
    return [
      {
        ...{ type: 'lead_registered', id: `r-${n}`, source: 'web', time },
        correlationId: `c-${n}`,
        data: {
          ...{ leadId, email: `${n}@example.com`, firstName: null, lastName: 'Ünal "x"' },
          ...{ company: n % 2 === 0 ? 'Acme' : null, source: 'ads' },
        },
      },
      {
        ...{ type: 'webinar_attended', id: `a-${n}`, source: 'zoom', time },
        data: { leadId, webinarId: `W-${n % 3}`, attendanceDuration: 60 + n, engagementScore: 0.5 },
      },
      {
        ...{ type: 'conversion_completed', id: `s-${n}`, source: 'shop', time },
        data: { leadId, conversionType: 'course', value: '49.00', currency: 'EUR' },
      },
    ]
  }).flat()
