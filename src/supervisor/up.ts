import { hostname } from 'node:os'
import { join } from 'node:path'
import type { Config } from '../config.ts'
import { EmbudoError } from '../define/error.ts'
import { type EmbeddedAddresses, startEmbedded } from '../embedded/start.ts'
import { readRunFile, removeRunFile, writeRunFile } from '../run-file.ts'
import { requireFreePort } from './port.ts'
import { stopPatienceMs } from './role-process.ts'
import { startSeveral, workerNiceness, workerSettings } from './several.ts'

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
      /** That take requests on `http`. */
      readonly processes: number
      readonly addresses: EmbeddedAddresses
    }
  | { readonly is: 'stopping' }

/**
 * Starts what has no address, then the program: one process answers, or several on one port, and one works, so that
 * a rebuild does not slow an answer. Serves until `signal` aborts, then stops everything: first what takes requests,
 * then the worker, then the parts. What ends by itself is started again where it was. Throws `cannot_listen` before
 * anything is started where the port is taken, and `part_died` where an embedded part does not come up again.
 */
export const up = async ({ config, environment, main, signal, show }: UpOptions): Promise<void> => {
  const processes = config.EMBUDO_INGEST_PROCESSES
  const configured = {
    kafka: config.KAFKA_BROKERS,
    registry: config.SCHEMA_REGISTRY_URL,
    postgres: config.DATABASE_URL,
    clickhouse: config.CLICKHOUSE_URL,
  }
  const taken = await requireFreePort(config).then(
    () => undefined,
    (error: unknown) => error,
  )
  // By another run on the same data, perhaps: the next step knows better who that is.
  if (taken !== undefined && readRunFile(config.dataDir) === undefined) throw taken
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
    storeNiceness: workerNiceness,
    ...(config.EMBUDO_CACHE_DIR === undefined ? {} : { cacheDir: config.EMBUDO_CACHE_DIR }),
    progress: ({ part, what }) => show({ is: 'progress', part, what }),
    restart: {
      notice: ({ part, what }) => show({ is: 'notice', part, line: what }),
      restarted: () => note(),
    },
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

  const stopping = new AbortController()
  const started = { http: new Map<number, number>(), worker: new Map<number, number>() }
  const where: Record<string, string> = {}
  const note = (): void => {
    if (stopping.signal.aborted || started.http.size < processes || started.worker.size < 1) return
    writeRunFile(config.dataDir, {
      http: where.http!,
      kafka: addresses.kafkaBrokers,
      registry: addresses.registryUrl,
      postgres: addresses.databaseUrl,
      clickhouse: addresses.clickhouseUrl,
      pids: {
        up: [process.pid],
        ...embedded.pids,
        http: inOrder(started.http),
        worker: inOrder(started.worker),
      },
    })
  }
  const start = (
    name: 'http' | 'worker',
    roles: readonly string[],
    count: number,
    port: number,
    settings: Readonly<Record<string, string>> = {},
  ) => {
    show({ is: 'progress', part: name, what: count === 1 ? 'starting' : `starting ${count} processes` })
    return startSeveral({
      name,
      count,
      roles,
      port,
      main,
      signal: AbortSignal.any([signal, stopping.signal]),
      env: { ...env, ...settings },
      logFile: (one) => join(config.dataDir, 'logs', `${one}.log`),
      stopPatienceMs: stopPatienceMs(config),
      ...(name === 'worker' ? { niceness: workerNiceness } : {}),
      onNotice: (one, line) => show({ is: 'notice', part: one, line }),
      onRestart: (one, why) => show({ is: 'notice', part: one, line: `ended (${why}), starting it again` }),
      onStarted: ({ pid, address, at }) => {
        started[name].set(at, pid)
        where[name] = address
        note()
      },
    })
  }
  // Stopped in reverse: what has been accepted is in the log before the worker ends.
  await using worker = start('worker', ['project', 'saga'], 1, config.EMBUDO_WORKER_PORT, workerSettings)
  await using http = start('http', ['ingest', 'query'], processes, config.EMBUDO_PORT)

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
    show({ is: 'serving', http: httpAddress, worker: workerAddress, processes, addresses })
    await Promise.race([stop, died])
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    stopping.abort()
    show({ is: 'stopping' })
    removeRunFile(config.dataDir)
  }
}

const inOrder = (pids: ReadonlyMap<number, number>): number[] =>
  [...pids].toSorted(([a], [b]) => a - b).map(([, pid]) => pid)
