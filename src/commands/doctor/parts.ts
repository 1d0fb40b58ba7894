import { Client } from 'pg'
import type { Config } from '../../config.ts'
import { withoutPassword } from '../../config.ts'
import { EmbudoError, messageOf } from '../../define/error.ts'
import { type Addresses, registryAuth } from '../addresses.ts'
import type { CommandContext } from '../context.ts'
import { openLog } from '../open-log.ts'
import { reasonOf } from '../server.ts'
import { type Check, fail, ok, warn } from './check.ts'

const patienceMs = 5_000
const oldestPostgres = 15
const oldestClickhouse = 24

/** Every part that is configured or runs; one that is neither is embedded by the next `up`. */
export const checkParts = async (
  config: Config,
  addresses: Addresses,
  context: CommandContext,
): Promise<Check[]> => {
  const look = async (
    name: string,
    address: string | undefined,
    setting: string,
    check: (address: string) => Promise<Check>,
  ): Promise<Check> => {
    if (address === undefined) return ok(name, 'embedded, when `up` starts it')
    try {
      return await check(address)
    } catch (error) {
      const reason = error instanceof EmbudoError ? messageOf(error) : reasonOf(error)
      return fail(name, `${withoutPassword(address)}: ${reason}`, `start it, or mend ${setting}`)
    }
  }
  return await Promise.all([
    look('kafka', addresses.kafka, 'KAFKA_BROKERS and KAFKA_SASL_*', (address) =>
      checkKafka(address, config),
    ),
    look('registry', addresses.registry, 'SCHEMA_REGISTRY_URL', (address) =>
      checkRegistry(address, config, context),
    ),
    look('postgres', addresses.postgres, 'DATABASE_URL', checkPostgres),
    look('clickhouse', addresses.clickhouse, 'CLICKHOUSE_URL', (address) =>
      checkClickhouse(address, context),
    ),
  ])
}

const checkKafka = async (address: string, config: Config): Promise<Check> => {
  await using log = await openLog(config)
  await log.ping()
  return ok('kafka', `${address} answers`)
}

const checkRegistry = async (url: string, config: Config, { fetch }: CommandContext): Promise<Check> => {
  const auth = registryAuth(config)
  const headers = auth === undefined ? {} : { authorization: basic(auth.username, auth.password) }
  const response = await fetch(new URL('subjects', url.endsWith('/') ? url : `${url}/`), {
    headers,
    signal: AbortSignal.timeout(patienceMs),
  })
  if (!response.ok) throw new Error(`status ${response.status}`)
  const subjects = (await response.json()) as unknown[]
  return ok('registry', `${url} answers, ${subjects.length} subjects`)
}

const checkPostgres = async (url: string): Promise<Check> => {
  const client = new Client({
    connectionString: url,
    connectionTimeoutMillis: patienceMs,
    query_timeout: patienceMs,
  })
  try {
    await client.connect()
    const { rows } = await client.query<{ server_version: string }>('show server_version')
    const version = rows[0]!.server_version
    return Number.parseInt(version, 10) >= oldestPostgres
      ? ok('postgres', version)
      : warn('postgres', version, `Postgres ${oldestPostgres} or later is what embudo is tested with`)
  } finally {
    await client.end().catch(() => undefined)
  }
}

const checkClickhouse = async (url: string, { fetch }: CommandContext): Promise<Check> => {
  const { origin, username, password } = new URL(url)
  const response = await fetch(`${origin}/?query=${encodeURIComponent('SELECT version()')}`, {
    headers:
      username === ''
        ? {}
        : { authorization: basic(decodeURIComponent(username), decodeURIComponent(password)) },
    signal: AbortSignal.timeout(patienceMs),
  })
  const text = (await response.text()).trim()
  if (!response.ok) throw new Error(`status ${response.status}: ${text.slice(0, 200)}`)
  return Number.parseInt(text, 10) >= oldestClickhouse
    ? ok('clickhouse', text)
    : warn('clickhouse', text, `ClickHouse ${oldestClickhouse} or later is what embudo is tested with`)
}

const basic = (username: string, password: string): string =>
  `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`

/** One copy is enough to try things out; a machine that is lost takes the only copy with it. */
export const checkReplication = ({ KAFKA_BROKERS: brokers, EMBUDO_REPLICATION: replicas }: Config): Check => {
  if (brokers === undefined) return ok('replication', 'one copy, as on one machine it must be')
  if (replicas >= 3) return ok('replication', `${replicas} copies of each topic that is made`)
  const found = `${replicas} ${replicas === 1 ? 'copy' : 'copies'} of each topic that is made`
  return warn(
    'replication',
    found,
    'in production set EMBUDO_REPLICATION=3, with min.insync.replicas=2 and no unclean election at the brokers',
  )
}
