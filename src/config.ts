import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { z } from 'zod'
import { type Duration, durationMs } from './define/duration.ts'
import { EmbudoError, messageOf } from './define/error.ts'

/**
 * Every setting, in one table: name, type, default, one line of help. The environment is read here, once, and
 * nowhere else.
 */
const integer = (min: number, max: number) => {
  const error = `expected a whole number from ${min} to ${max}`
  // Number() alone would read blanks as 0, and 0x10 and 1e3 as well.
  return z
    .string()
    .regex(/^\d+$/, { error, abort: true })
    .transform(Number)
    .refine((value) => value >= min && value <= max, { error })
}
const share = z
  .string()
  .regex(/^(0(\.\d+)?|1(\.0+)?)$/, 'expected a share from 0 to 1, for example 0.1')
  .transform(Number)
const flag = z.enum(['true', 'false']).transform((text) => text === 'true')
const url = (...protocols: string[]) =>
  z.string().refine((text) => URL.canParse(text) && protocols.includes(new URL(text).protocol), {
    error: `expected an address that begins with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}`,
  })
const port = integer(0, 65_535)

/** `https://app.example.com,http://localhost:3000` */
const origins = z.string().transform((text, context) => {
  const list = text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
  if (!list.every((origin) => URL.canParse(origin) && new URL(origin).origin === origin)) {
    const message = 'expected origins as a browser sends them, for example https://app.example.com,...'
    context.addIssue({ code: 'custom', message })
  }
  return list
})

/** `enrollment.take_payment=5 seconds, ...` */
const waits = z.string().transform((text, context) => {
  const entries = text.split(',').filter((part) => part.trim() !== '')
  return Object.fromEntries(
    entries.map((entry) => {
      const match = /^\s*([a-z0-9_]+\.[a-z0-9_]+)\s*=\s*(\d+) ?(ms|seconds?|minutes?|hours?|days?)\s*$/.exec(
        entry,
      )
      if (match === null) {
        context.addIssue({ code: 'custom', message: 'expected <saga>.<step>=<number> seconds, ...' })
        return ['', 0]
      }
      return [match[1]!, durationMs(`${Number(match[2])} ${match[3]}` as Duration)]
    }),
  )
})

const settings = {
  KAFKA_BROKERS: [
    z
      .string()
      .regex(
        /^(?:[^:,\s[\]]+|\[[\da-f:.]+\]):\d+(?:,(?:[^:,\s[\]]+|\[[\da-f:.]+\]):\d+)*$/i,
        'expected host:port[,host:port...]',
      )
      .optional(),
    'the brokers; embedded by `up` where not set',
  ],
  KAFKA_SSL: [flag.default(false), 'TLS to the brokers'],
  KAFKA_SSL_CA_FILE: [z.string().optional(), 'file with the certificate authority of the brokers, PEM'],
  KAFKA_SSL_CERT_FILE: [z.string().optional(), 'file with the client certificate, PEM'],
  KAFKA_SSL_KEY_FILE: [z.string().optional(), 'file with the key of the client certificate, PEM'],
  KAFKA_SASL_MECHANISM: [
    z.enum(['plain', 'scram-sha-256', 'scram-sha-512']).optional(),
    'how to log in to the brokers',
  ],
  KAFKA_SASL_USERNAME: [z.string().optional(), 'user at the brokers'],
  KAFKA_SASL_PASSWORD: [z.string().optional(), 'password at the brokers'],
  SCHEMA_REGISTRY_URL: [
    url('http:', 'https:').optional(),
    'Confluent-compatible registry; embedded by `up` where not set',
  ],
  SCHEMA_REGISTRY_USERNAME: [z.string().optional(), 'user at the registry'],
  SCHEMA_REGISTRY_PASSWORD: [z.string().optional(), 'password at the registry'],
  DATABASE_URL: [url('postgres:', 'postgresql:').optional(), 'Postgres; embedded by `up` where not set'],
  CLICKHOUSE_URL: [
    url('http:', 'https:').optional(),
    'ClickHouse, as http://user:password@host:8123/database; embedded by `up` where not set',
  ],
  EMBUDO_CLICKHOUSE_CLUSTER: [
    z.string().min(1).optional(),
    "ClickHouse cluster of one shard whose replicas hold the tables; CLICKHOUSE_URL's server alone where not set",
  ],
  EMBUDO_CLICKHOUSE_REPLICA_PATH: [
    z
      .string()
      .regex(/^\/.*\{table\}/, 'expected a path in Keeper with the macro {table}')
      .default('/clickhouse/tables/{shard}/{database}/{table}'),
    "where a replicated table is in Keeper, with the server's macros; its replica is called {replica}",
  ],
  EMBUDO_HOST: [z.string().default('127.0.0.1'), 'address to listen on'],
  EMBUDO_PORT: [port.default(4000), 'port to listen on; 0 takes a free one'],
  EMBUDO_INGEST_PROCESSES: [
    integer(1, 64).default(1),
    'processes that take requests on EMBUDO_PORT, each with limits of its own; no more than there are cores',
  ],
  EMBUDO_WORKER_PORT: [
    port.default(0),
    'port for health and metrics of the worker process, where it is one of its own; 0 takes a free one',
  ],
  EMBUDO_STOP_DELAY_MS: [
    integer(0, 300_000).default(0),
    'how long requests are still taken after SIGTERM while /readyz says no, for a load balancer to see it',
  ],
  EMBUDO_TOPIC_PREFIX: [
    z
      .string()
      .regex(/^[a-zA-Z0-9._-]*$/, 'expected letters, digits, dots, dashes')
      .default('embudo.'),
    'put before the name of every topic',
  ],
  EMBUDO_DATA_DIR: [z.string().default('.embudo'), 'where `up` keeps its data'],
  EMBUDO_CACHE_DIR: [
    z.string().optional(),
    "where the embedded parts are kept once fetched; default: the user's cache folder",
  ],
  EMBUDO_KAFKA_PORT: [port.optional(), 'port of the embedded Kafka; a free one where not set'],
  EMBUDO_REGISTRY_PORT: [port.optional(), 'port of the embedded registry; a free one where not set'],
  EMBUDO_POSTGRES_PORT: [port.optional(), 'port of the embedded Postgres; a free one where not set'],
  EMBUDO_CLICKHOUSE_PORT: [port.optional(), 'port of the embedded ClickHouse; a free one where not set'],
  EMBUDO_WORKER_ID: [
    z.string().min(1).max(200).optional(),
    'name of this process among those that share the partitions, no two alike; random where not set. One that comes back under its name goes on at once',
  ],
  EMBUDO_REPLICATION: [
    integer(1, 9).default(1),
    'replicas of a topic that is made; 3 in production, with min.insync.replicas 2',
  ],
  EMBUDO_LOG_LEVEL: [
    z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
    'least important log line that is written',
  ],
  EMBUDO_MAX_BODY_BYTES: [
    integer(1_024, 1_073_741_824).default(10_485_760),
    'largest JSON body; NDJSON is streamed and has no limit',
  ],
  EMBUDO_MAX_LINE_BYTES: [integer(1_024, 16_777_216).default(1_048_576), 'longest line of an NDJSON body'],
  EMBUDO_MAX_PENDING_BYTES: [
    integer(1_048_576, 4_294_967_296).default(67_108_864),
    'bytes of records handed to the log and not yet acknowledged; beyond it callers get 503. At least EMBUDO_MAX_IN_FLIGHT_BYTES',
  ],
  EMBUDO_MAX_IN_FLIGHT_BYTES: [
    integer(1_048_576, 17_179_869_184).default(67_108_864),
    'bytes of requests that are being read or not yet answered; a caller over its share gets 429, all get 503 when it is full',
  ],
  EMBUDO_MAX_CONNECTIONS: [
    integer(16, 65_535).default(2_048),
    'connections of HTTP clients that a process takes at once; more are closed as they come',
  ],
  EMBUDO_CORS_ORIGINS: [
    origins.default([]),
    'origins whose pages may call from a browser, as https://app.example.com,...; none where not set',
  ],
  EMBUDO_APPEND_TIMEOUT_MS: [
    integer(100, 600_000).default(10_000),
    'after this long an append ends with an unknown outcome, and 503',
  ],
  EMBUDO_COMPRESSION: [
    z.enum(['none', 'gzip', 'zstd']).default('none'),
    'of record batches; zstd takes a sixth of the disk for half a microsecond to two an event, where every reader knows it',
  ],
  EMBUDO_READ_WAIT_MS: [integer(0, 60_000).default(5_000), 'how long a read waits for its Embudo-Position'],
  EMBUDO_BATCH_RECORDS: [
    integer(1, 100_000).default(10_000),
    'most records that one Postgres transaction of a projection applies; three times as many while it is far behind',
  ],
  EMBUDO_CACHE_ROWS: [
    integer(0, 10_000_000).default(100_000),
    'rows of a read model that a projector remembers, over all its partitions',
  ],
  EMBUDO_STALLED_AFTER_MS: [
    integer(1_000, 86_400_000).default(30_000),
    'a projection with records to apply is shown as stalled after it has not moved for this long',
  ],
  EMBUDO_RECONCILE_EVERY_MS: [
    integer(100, 3_600_000).default(15_000),
    'how often the worker looks whether every record is accounted for; rows in ClickHouse are counted less often',
  ],
  EMBUDO_MIRROR_OFFSETS: [
    flag.default(true),
    "whether positions are shown as consumer groups' offsets, for Kafka's tools to see the lag",
  ],
  EMBUDO_MAX_POISONED_SHARE: [
    share.default(0.1),
    'share of the last events that a projection may park as dead letters; beyond it the partition stops instead',
  ],
  EMBUDO_KEEP_PREVIOUS_MS: [
    integer(0, 2_147_483_647).default(3_600_000),
    'how long the rows from before a rebuild are kept and fed on after the switch, to go back to',
  ],
  EMBUDO_DATABASE_CONNECTIONS: [integer(2, 1_000).default(16), 'most connections of a process to Postgres'],
  EMBUDO_SAGA_WITHIN: [
    waits.default({}),
    'time limits of saga steps in place of the declared ones: <saga>.<step>=<number> seconds, ...',
  ],
  EMBUDO_SAGA_CONCURRENCY: [integer(1, 1_000).default(32), 'effects of sagas that one process runs at once'],
  OTEL_EXPORTER_OTLP_ENDPOINT: [
    url('http:', 'https:').optional(),
    'where traces go, OTLP over HTTP; none where not set',
  ],
  OTEL_EXPORTER_JAEGER_ENDPOINT: [
    url('http:', 'https:').optional(),
    "where traces go, Jaeger's collector; OTLP is its successor",
  ],
  OTEL_SERVICE_NAME: [z.string().default('embudo'), 'name of the service in traces'],
} as const satisfies Record<string, readonly [z.ZodType, string]>

type Settings = { [Name in keyof typeof settings]: z.output<(typeof settings)[Name][0]> }

export type Config = Readonly<Settings> & { readonly dataDir: string; readonly cores: number }

/** Names that other programs own and that we pass on or leave alone. */
const foreign = /^(?!EMBUDO_)/

export const processEnvironment: Readonly<Record<string, string | undefined>> = process.env

/** Throws `config_invalid` with every wrong name and value, and what was expected. */
export const readConfig = (
  environment: Readonly<Record<string, string | undefined>> = processEnvironment,
): Config => {
  const problems: string[] = []
  const values: Record<string, unknown> = {}
  for (const name of Object.keys(environment)) {
    if (!foreign.test(name) && !(name in settings) && !internal.has(name)) {
      problems.push(`${name}: no such setting; \`npx embudo config\` lists them`)
    }
  }
  for (const [name, [type]] of Object.entries(settings)) {
    const text = environment[name] === '' ? undefined : environment[name]
    const result = type.safeParse(text)
    if (result.success) values[name] = result.data
    else
      problems.push(
        `${name}: got ${isSecret(name) ? '***' : JSON.stringify(withoutPassword(text ?? ''))}, ${expected(result.error)}`,
      )
  }
  const pending = Number(values.EMBUDO_MAX_PENDING_BYTES)
  const inFlight = Number(values.EMBUDO_MAX_IN_FLIGHT_BYTES)
  if (pending < inFlight) {
    problems.push(
      `EMBUDO_MAX_PENDING_BYTES: got ${pending}, expected at least EMBUDO_MAX_IN_FLIGHT_BYTES (${inFlight}); set both`,
    )
  }
  problems.push(...halfSet(environment))
  if (problems.length > 0) {
    throw new EmbudoError('config_invalid', problems.join('\n'), { facts: { problems } })
  }
  const valid = values as Settings
  return Object.freeze({ ...valid, dataDir: resolve(valid.EMBUDO_DATA_DIR), cores: availableParallelism() })
}

/**
 * What says nothing without another setting would connect otherwise than it reads: without TLS, without a login.
 * KAFKA_SSL=false is a word, too.
 */
const halfSet = (environment: Readonly<Record<string, string | undefined>>): string[] => {
  const isSet = (name: keyof Settings) => (environment[name] ?? '') !== ''
  const without = (one: keyof Settings, other: keyof Settings, advice: string) =>
    isSet(one) && !isSet(other) ? [`${one}: it does nothing without ${other}; ${advice}`] : []
  const mechanism = 'set it to plain, scram-sha-256 or scram-sha-512'
  return [
    ...certificateFiles.flatMap((name) => [
      ...without(name, 'KAFKA_SSL', 'set KAFKA_SSL=true'),
      ...(environment.KAFKA_SSL === 'true' ? unreadable(name, environment[name]) : []),
    ]),
    ...without('KAFKA_SSL_CERT_FILE', 'KAFKA_SSL_KEY_FILE', 'set both'),
    ...without('KAFKA_SSL_KEY_FILE', 'KAFKA_SSL_CERT_FILE', 'set both'),
    ...without('KAFKA_SASL_USERNAME', 'KAFKA_SASL_MECHANISM', mechanism),
    ...without('KAFKA_SASL_PASSWORD', 'KAFKA_SASL_MECHANISM', mechanism),
    ...without('KAFKA_SASL_MECHANISM', 'KAFKA_SASL_USERNAME', 'set both, and KAFKA_SASL_PASSWORD'),
    ...without('KAFKA_SASL_USERNAME', 'KAFKA_SASL_PASSWORD', 'set both'),
    ...without('KAFKA_SASL_PASSWORD', 'KAFKA_SASL_USERNAME', 'set both'),
    ...without('SCHEMA_REGISTRY_PASSWORD', 'SCHEMA_REGISTRY_USERNAME', 'set both'),
  ]
}

const certificateFiles = ['KAFKA_SSL_CA_FILE', 'KAFKA_SSL_CERT_FILE', 'KAFKA_SSL_KEY_FILE'] as const

const unreadable = (name: string, path: string | undefined): string[] => {
  if (path === undefined || path === '') return []
  try {
    readFileSync(path)
    return []
  } catch (error) {
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    const why = isMissing ? 'there is no such file' : messageOf(error)
    return [
      `${name}: ${JSON.stringify(path)} cannot be read: ${why}; name a file in PEM that this user may read`,
    ]
  }
}

/** The table of `npx embudo config`. */
export const describeConfig = (
  environment: Readonly<Record<string, string | undefined>> = processEnvironment,
): { readonly name: string; readonly value: string; readonly isDefault: boolean; readonly help: string }[] =>
  Object.entries(settings).map(([name, [type, help]]) => {
    const text = environment[name]
    const value = text === undefined || text === '' ? String(type.safeParse(undefined).data ?? '') : text
    return {
      name,
      value: isSecret(name) ? mask(value) : withoutPassword(value).replace('[object Object]', ''),
      isDefault: !text,
      help,
    }
  })

/** An address to look at, its password left out: the one in front of the host, and those of its parameters. */
export const withoutPassword = (address: string): string => {
  const url = URL.canParse(address) ? new URL(address) : undefined
  // A password that should have been escaped may look like a host, or like anything else.
  if (!url?.host || address.indexOf('@') !== address.lastIndexOf('@')) {
    return address.replace(/^([a-z]+:\/\/)?.*@/is, '$1***@').replaceAll(secretParameter, '$1***')
  }
  const secrets = [...url.searchParams.keys()].filter((name) => secretName.test(name))
  if (url.password === '' && secrets.length === 0) return address
  if (url.password !== '') url.password = '***'
  for (const name of secrets) url.searchParams.set(name, '***')
  return address.endsWith('/') ? url.href : url.href.replace(/\/$/, '')
}

const secretName = /password|passwd|secret|token/i
const secretParameter = new RegExp(`([?&][^=&#]*(?:${secretName.source})[^=&#]*=)[^&#]*`, 'gi')

/** Set by `up` for the processes it starts, and by tests. */
const internal = new Set(['EMBUDO_TEST_PARTS'])

const isSecret = (name: string): boolean => /PASSWORD|SECRET|KEY$/.test(name)

const mask = (value: string): string => (value === '' || value === '[object Object]' ? '' : '***')

const expected = (error: z.ZodError): string => error.issues.map((issue) => issue.message).join('; ')
