import { randomUUID } from 'node:crypto'
import { Client } from 'pg'
import { readConfig } from '../../src/config.ts'
import type { EmbeddedAddresses } from '../../src/embedded/start.ts'
import { clickhouseClient } from '../clickhouse-client.ts'
import { dropDatabase } from '../drop-database.ts'
import { startWholeApp } from '../start-app.ts'

/** The program with every role, on the real parts: topics and databases of its own, which go with it. */
export const startRealFace = async (
  parts: EmbeddedAddresses,
  settings: Readonly<Record<string, string>> = {},
): Promise<RealFace> => {
  await using building = new AsyncDisposableStack()
  const name = `face_${randomUUID().replaceAll('-', '').slice(0, 12)}`
  building.use(await databases(name, parts))
  const config = readConfig({
    KAFKA_BROKERS: parts.kafkaBrokers,
    SCHEMA_REGISTRY_URL: parts.registryUrl,
    DATABASE_URL: withPath(parts.databaseUrl, name),
    CLICKHOUSE_URL: withPath(parts.clickhouseUrl, name),
    EMBUDO_TOPIC_PREFIX: `${name}.`,
    EMBUDO_PORT: '0',
    EMBUDO_LOG_LEVEL: 'error',
    EMBUDO_APPEND_TIMEOUT_MS: '60000',
    ...settings,
  })
  const { address } = building.use(await startWholeApp(config))
  const started = building.move()
  return {
    url: address,
    prefix: `${name}.`,
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  }
}

export interface RealFace extends AsyncDisposable {
  readonly url: string
  /** Of its topics. */
  readonly prefix: string
}

const databases = async (
  name: string,
  { databaseUrl, clickhouseUrl }: EmbeddedAddresses,
): Promise<AsyncDisposable> => {
  await using making = new AsyncDisposableStack()
  const postgres = making.adopt(new Client({ connectionString: databaseUrl }), (it) => it.end())
  await postgres.connect()
  const clickhouse = making.adopt(clickhouseClient({ url: clickhouseUrl }), (it) => it.close())
  await postgres.query(`create database ${name}`)
  making.defer(() => dropDatabase(postgres, name))
  await clickhouse.command({ query: `create database ${name}` })
  making.defer(async () => void (await clickhouse.command({ query: `drop database ${name}` })))
  return making.move()
}

const withPath = (address: string, path: string): string => {
  const url = new URL(address)
  url.pathname = path
  return url.href
}
