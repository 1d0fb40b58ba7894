import { hostname } from 'node:os'
import { join } from 'node:path'
import type { Config } from '../config.ts'
import { EmbudoError } from '../define/error.ts'
import { type EmbeddedAddresses, startEmbedded } from '../embedded/start.ts'
import { removeRunFile, writeRunFile } from '../run-file.ts'
import { startRoleProcess } from './role-process.ts'

export interface UpOptions {
  readonly config: Config
  /** What the role processes inherit; addresses of embedded parts are added. */
  readonly environment: Readonly<Record<string, string | undefined>>
  /** The program's own main file. */
  readonly main: string
  readonly signal: AbortSignal
  readonly show: (event: UpEvent) => void
}

export type UpEvent =
  | { readonly is: 'progress'; readonly part: string; readonly what: string }
  | { readonly is: 'notice'; readonly part: string; readonly line: string }
  | {
      readonly is: 'serving'
      readonly http: string
      readonly worker: string
      readonly addresses: EmbeddedAddresses
    }
  | { readonly is: 'stopping' }

/**
 * Starts what has no address, then the program in two processes: one answers, one works, so that a rebuild does
 * not slow an answer. Serves until `signal` aborts, then stops everything in the reverse order. Throws
 * `part_died` where an embedded part ends by itself.
 */
export const up = async ({ config, environment, main, signal, show }: UpOptions): Promise<void> => {
  const configured = {
    kafka: config.KAFKA_BROKERS,
    registry: config.SCHEMA_REGISTRY_URL,
    postgres: config.DATABASE_URL,
    clickhouse: config.CLICKHOUSE_URL,
  }
  const missing = (Object.keys(configured) as (keyof typeof configured)[]).filter((part) => !configured[part])
  const ports = {
    ...(config.EMBUDO_KAFKA_PORT === undefined ? {} : { kafka: config.EMBUDO_KAFKA_PORT }),
    ...(config.EMBUDO_REGISTRY_PORT === undefined ? {} : { registry: config.EMBUDO_REGISTRY_PORT }),
    ...(config.EMBUDO_POSTGRES_PORT === undefined ? {} : { postgres: config.EMBUDO_POSTGRES_PORT }),
    ...(config.EMBUDO_CLICKHOUSE_PORT === undefined ? {} : { clickhouse: config.EMBUDO_CLICKHOUSE_PORT }),
  }
  await using embedded = await startEmbedded({
    dataDir: config.dataDir,
    parts: new Set(missing),
    ports,
    ...(config.EMBUDO_CACHE_DIR === undefined ? {} : { cacheDir: config.EMBUDO_CACHE_DIR }),
    progress: ({ part, what }) => show({ is: 'progress', part, what }),
    signal,
  })
  // What a killed run has left: nothing of it is true any more.
  removeRunFile(config.dataDir)
  const addresses: EmbeddedAddresses = {
    kafkaBrokers: configured.kafka ?? embedded.addresses.kafkaBrokers!,
    registryUrl: configured.registry ?? embedded.addresses.registryUrl!,
    databaseUrl: configured.postgres ?? embedded.addresses.databaseUrl!,
    clickhouseUrl: configured.clickhouse ?? embedded.addresses.clickhouseUrl!,
  }
  const env = {
    ...environment,
    KAFKA_BROKERS: addresses.kafkaBrokers,
    SCHEMA_REGISTRY_URL: addresses.registryUrl,
    DATABASE_URL: addresses.databaseUrl,
    CLICKHOUSE_URL: addresses.clickhouseUrl,
    // The data folder is held by one `up` at a time, so its worker may come back under its name.
    EMBUDO_WORKER_ID: environment.EMBUDO_WORKER_ID ?? `${hostname()}:${config.dataDir}`,
  }

  const pids: Record<string, readonly number[]> = { up: [process.pid], ...embedded.pids }
  const where: Record<string, string> = {}
  const note = (): void => {
    if (where.http === undefined || where.worker === undefined) return
    writeRunFile(config.dataDir, {
      http: where.http,
      kafka: addresses.kafkaBrokers,
      registry: addresses.registryUrl,
      postgres: addresses.databaseUrl,
      clickhouse: addresses.clickhouseUrl,
      pids,
    })
  }
  const start = (name: string, roles: readonly string[], port: number) => {
    show({ is: 'progress', part: name, what: 'starting' })
    return startRoleProcess({
      name,
      roles,
      main,
      env: { ...env, EMBUDO_PORT: String(port) },
      logFile: join(config.dataDir, 'logs', `${name}.log`),
      onNotice: (line) => show({ is: 'notice', part: name, line }),
      onRestart: (why) => show({ is: 'notice', part: name, line: `ended (${why}), starting it again` }),
      onStarted: ({ pid, address }) => {
        pids[name] = [pid]
        where[name] = address
        note()
      },
    })
  }
  await using http = start('http', ['ingest', 'query'], config.EMBUDO_PORT)
  await using worker = start('worker', ['project', 'saga'], config.EMBUDO_WORKER_PORT)

  const stop = new Promise<never>((_, reject) => {
    const interrupt = () => reject(new EmbudoError('interrupted', 'stopped while starting'))
    if (signal.aborted) interrupt()
    signal.addEventListener('abort', interrupt, { once: true })
  })
  stop.catch(() => {})
  try {
    const died = embedded.died.then((error): never => {
      throw error
    })
    died.catch(() => {})
    const [httpAddress, workerAddress] = await Promise.race([
      Promise.all([http.ready, worker.ready]),
      stop,
      died,
    ])
    show({ is: 'serving', http: httpAddress, worker: workerAddress, addresses })
    await Promise.race([stop, died])
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    show({ is: 'stopping' })
    removeRunFile(config.dataDir)
  }
}
