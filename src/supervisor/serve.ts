import { setTimeout as delay } from 'node:timers/promises'
import type { Config } from '../config.ts'
import { EmbudoError } from '../define/error.ts'
import type { Siblings } from './siblings.ts'

export const roles = ['ingest', 'query', 'project', 'saga'] as const
export type Role = (typeof roles)[number]

/** What runs of the program: its address, and how it is stopped. */
export interface Served extends AsyncDisposable {
  readonly address: string
}

/** `siblings` where several processes answer on one port. */
export type StartApp = (config: Config, roles: ReadonlySet<Role>, siblings?: Siblings) => Promise<Served>

export interface ServeOptions {
  readonly config: Config
  readonly roles: readonly Role[]
  readonly startApp: StartApp
  readonly siblings?: Siblings | undefined
  readonly signal: AbortSignal
  /** Something was not done when the time to stop was over. */
  readonly onOverdue: (limitMs: number) => void
}

/**
 * Runs some roles against parts that have addresses, until `signal` aborts. Where a supervisor has started it,
 * that is told the address, and the end of the channel to it means that it is gone.
 */
export const serve = async (options: ServeOptions): Promise<void> => {
  const { config, startApp, siblings, signal, onOverdue } = options
  requireAddresses(config)
  process.once('disconnect', () => process.exit(1))
  const aborted = new Promise<void>((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
  const starting = startApp(config, new Set(options.roles), siblings)
  starting.catch(() => {})
  const app = await Promise.race([starting, aborted])
  if (app !== undefined) {
    process.send?.({ ready: app.address })
    await aborted
  }

  // What has been answered is in the log: whatever hangs after that may be left, and its caller sends again.
  const limitMs = stopLimitMs(config)
  const isStopped = await Promise.race([stop(starting), delay(limitMs, false)])
  if (!isStopped) onOverdue(limitMs)
}

/** Within which a process ends: its own ten seconds for requests under way are in it. */
export const stopLimitMs = (config: Config): number => config.EMBUDO_STOP_DELAY_MS + 15_000

/** Also of a start that is still under way: it may have begun to take events. One that fails has undone itself. */
const stop = async (starting: Promise<Served>): Promise<true> => {
  const app = await starting.catch(() => undefined)
  await app?.[Symbol.asyncDispose]()
  return true
}

export const requireAddresses = (config: Config): void => {
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
