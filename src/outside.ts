import { readFileSync } from 'node:fs'
import { type ClickHouseClient, ClickHouseLogLevel, createClient } from '@clickhouse/client'
import pg from 'pg'
import type { Logger } from 'pino'
import type { Config } from './config.ts'
import { type Catalog, topicName } from './define/catalog.ts'
import { topicSettings } from './log/topic-settings.ts'

/** How the program connects to what is outside of it, as the configuration says. */
export const postgresPool = (config: Config, logger: Logger, synchronousCommit: 'on' | 'off'): pg.Pool => {
  const pool = new pg.Pool({
    connectionString: config.DATABASE_URL,
    max: config.EMBUDO_DATABASE_CONNECTIONS,
    application_name: 'embudo',
    options: `-c synchronous_commit=${synchronousCommit} -c timezone=UTC`,
    connectionTimeoutMillis: 10_000,
    keepAlive: true,
  })
  // An idle connection that breaks is replaced by the next query; without a listener it would end the process.
  pool.on('error', (error) => logger.warn({ error: error.message }, 'a connection to Postgres broke'))
  // One that breaks while it is being handed over is reported on itself; its query fails, which is enough.
  pool.on('connect', (client) => client.on('error', () => {}))
  return pool
}

export const clickhouseClient = (config: Config): ClickHouseClient =>
  createClient({
    url: config.CLICKHOUSE_URL!,
    application: 'embudo',
    request_timeout: 60_000,
    keep_alive: { enabled: true },
    // Its own lines are none that our log can hold; what fails is thrown, and logged by who asked.
    log: { level: ClickHouseLogLevel.OFF },
  })

export const registryOptions = (config: Config) => {
  const {
    SCHEMA_REGISTRY_URL,
    SCHEMA_REGISTRY_USERNAME: username,
    SCHEMA_REGISTRY_PASSWORD: password,
  } = config
  return {
    url: SCHEMA_REGISTRY_URL!,
    ...(username === undefined ? {} : { auth: { username, password: password ?? '' } }),
  }
}

export const kafkaOptions = (config: Config) => {
  const {
    KAFKA_SASL_MECHANISM: mechanism,
    KAFKA_SASL_USERNAME: username,
    KAFKA_SASL_PASSWORD: password,
  } = config
  const file = (path: string | undefined) => (path === undefined ? undefined : readFileSync(path, 'utf8'))
  const tls = {
    ca: file(config.KAFKA_SSL_CA_FILE),
    cert: file(config.KAFKA_SSL_CERT_FILE),
    key: file(config.KAFKA_SSL_KEY_FILE),
  }
  return {
    brokers: config.KAFKA_BROKERS!.split(','),
    clientId: 'embudo',
    maxPendingBytes: config.EMBUDO_MAX_PENDING_BYTES,
    deliveryTimeoutMs: config.EMBUDO_APPEND_TIMEOUT_MS,
    compression: config.EMBUDO_COMPRESSION,
    ...(config.KAFKA_SSL
      ? { ssl: Object.fromEntries(Object.entries(tls).filter(([, value]) => value !== undefined)) }
      : {}),
    ...(mechanism === undefined ? {} : { sasl: { mechanism, username, password } }),
  }
}

export const topicSpec = (config: Config, topic: Catalog['topics'][number]) => ({
  topic: topicName(config.EMBUDO_TOPIC_PREFIX, topic),
  partitions: topic.partitions,
  replication: config.EMBUDO_REPLICATION,
  settings: topicSettings(config.EMBUDO_REPLICATION, topic.retentionMs),
})
