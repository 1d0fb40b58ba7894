import type { Config } from '../config.ts'
import { EmbudoError } from '../define/error.ts'

export const roles = ['ingest', 'query', 'project', 'saga'] as const
export type Role = (typeof roles)[number]

/** What runs of the program: its address, and how it is stopped. */
export interface Served extends AsyncDisposable {
  readonly address: string
}

export type StartApp = (config: Config, roles: ReadonlySet<Role>) => Promise<Served>

/**
 * Runs some roles against parts that have addresses, until `signal` aborts. Under `up` there is a channel to
 * the supervisor: it is told the address, and its end means that the supervisor is gone.
 */
export const serve = async (
  config: Config,
  wanted: readonly Role[],
  startApp: StartApp,
  signal: AbortSignal,
): Promise<void> => {
  requireAddresses(config)
  process.once('disconnect', () => process.exit(1))
  await using app = await startApp(config, new Set(wanted))
  process.send?.({ ready: app.address })
  if (!signal.aborted) await new Promise((stop) => signal.addEventListener('abort', stop, { once: true }))
}

const requireAddresses = (config: Config): void => {
  const missing = (
    ['KAFKA_BROKERS', 'SCHEMA_REGISTRY_URL', 'DATABASE_URL', 'CLICKHOUSE_URL'] as const
  ).filter((name) => config[name] === undefined)
  if (missing.length === 0) return
  throw new EmbudoError(
    'config_invalid',
    `${missing.join(', ')} not set: \`embudo start\` runs against parts that are there already; \`embudo up\` starts them on this machine`,
    { facts: { missing } },
  )
}
