import { mkdir } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { env } from 'node:process'
import { EmbudoError } from '../define/error.ts'
import { startClickhouse } from './clickhouse.ts'
import { lockDataFolder } from './data-lock.ts'
import type { Environment } from './java.ts'
import { startKafka } from './kafka.ts'
import { keepRunning, mostAttempts } from './keep-running.ts'
import { ProcessRecord } from './leftovers.ts'
import type { PartName, PartOptions, StartedPart } from './part.ts'
import { keepPassword } from './password.ts'
import { choosePorts, type PortName, type Ports } from './ports.ts'
import { startPostgres } from './postgres.ts'
import { startRegistry } from './registry.ts'
import type { TetheredProcess } from './tethered-process.ts'

export interface EmbeddedAddresses {
  /** host:port, as KAFKA_BROKERS takes it. */
  kafkaBrokers: string
  registryUrl: string
  databaseUrl: string
  clickhouseUrl: string
}

export interface EmbeddedParts extends AsyncDisposable {
  readonly addresses: Partial<EmbeddedAddresses>
  /** By part: its processes as they are now, the part's own being the last. */
  readonly pids: Readonly<Record<string, readonly number[]>>
  /** Resolves when a part ends that nobody stopped, and is not started again; the others still run. */
  readonly died: Promise<EmbudoError>
}

export interface EmbeddedOptions {
  /** Absolute. Everything the parts know is under it. */
  dataDir: string
  parts: ReadonlySet<PartName>
  /** Those not named here are free ones, the same at every start while they stay free. */
  ports?: Ports
  /** How long parts of a killed run may take to end by themselves before they are killed. */
  leftoverPatienceMs?: number
  /** What is downloaded once, shared between data folders. */
  cacheDir?: string
  environment?: Environment
  progress?: (event: { part: string; what: string }) => void
  /** Of Postgres and ClickHouse, as of `nice`: what they have to do can wait, the log and who answers cannot. */
  storeNiceness?: number
  /** Absent: a part that ends stays so. */
  restart?: RestartOptions
  /** Stops the start; later, no part is started again. */
  signal?: AbortSignal
}

/** A part that ends by itself is started again, on its ports and its data. */
export interface RestartOptions {
  notice: (event: { part: string; what: string }) => void
  /** A part has other pids now. */
  restarted: () => void
}

const starts: Record<PartName, (options: PartOptions) => Promise<StartedPart>> = {
  kafka: startKafka,
  registry: startRegistry,
  postgres: startPostgres,
  clickhouse: startClickhouse,
}

const addressNames = {
  kafka: 'kafkaBrokers',
  registry: 'registryUrl',
  postgres: 'databaseUrl',
  clickhouse: 'clickhouseUrl',
} as const satisfies Record<PartName, keyof EmbeddedAddresses>

const portNames: Record<PartName, readonly PortName[]> = {
  kafka: ['kafka', 'kafkaController'],
  registry: ['registry'],
  postgres: ['postgres'],
  clickhouse: ['clickhouse'],
}

/**
 * Starts the parts side by side and gives back their addresses once every one of them answers. When one fails,
 * the others are stopped and its error is thrown. Disposing stops them all and frees the data folder.
 */
export async function startEmbedded(options: EmbeddedOptions): Promise<EmbeddedParts> {
  const progress = (part: string, what: string) => options.progress?.({ part, what })
  await using cleanUp = new AsyncDisposableStack()
  cleanUp.use(await lockDataFolder(options.dataDir))
  const record = new ProcessRecord(options.dataDir)
  const patienceMs = options.leftoverPatienceMs ?? 30_000
  await record.endLeftovers({ patienceMs, progress, signal: options.signal })

  const parts = [...options.parts]
  const ports = await choosePorts(
    parts.flatMap((part) => portNames[part]),
    { dataDir: options.dataDir, configured: options.ports ?? {} },
  )
  await mkdir(join(options.dataDir, 'logs'), { recursive: true })
  const password = await keepPassword(options.dataDir)
  const logOf = (part: PartName) => join(options.dataDir, 'logs', `${part}.log`)

  const deaths = Promise.withResolvers<EmbudoError>()
  const running = new Map<PartName, Running>()
  const ending = new AbortController()
  const keeping: Promise<void>[] = []
  cleanUp.defer(() => record.clear(patienceMs))
  cleanUp.defer(() => stopInOrder(running))
  cleanUp.defer(async () => {
    ending.abort()
    await Promise.all(keeping)
  })

  // One that fails ends the starting of the others at once.
  const failed = new AbortController()
  const signal =
    options.signal === undefined ? failed.signal : AbortSignal.any([failed.signal, options.signal])
  const startPart = async (part: PartName, signal: AbortSignal): Promise<[PartName, StartedPart]> => {
    const begun = performance.now()
    progress(part, 'starting')
    const started = await starts[part]({
      dataDir: options.dataDir,
      cacheDir: options.cacheDir ?? defaultCacheDir(options.environment ?? env),
      logFile: logOf(part),
      ports,
      password,
      environment: options.environment ?? env,
      niceness: part === 'postgres' || part === 'clickhouse' ? options.storeNiceness : undefined,
      started: async (process) => {
        running.set(part, { process })
        await record.add(part, process.pids)
      },
      progress: (what) => progress(part, what),
      signal,
    })
    running.set(part, started)
    progress(part, `ready in ${((performance.now() - begun) / 1000).toFixed(1)} s`)
    return [part, started]
  }
  const starting = parts.map((part) =>
    startPart(part, signal).catch((error: unknown) => {
      failed.abort(error)
      throw error
    }),
  )
  await Promise.allSettled(starting)
  if (failed.signal.aborted) throw failed.signal.reason

  const whileServing =
    options.signal === undefined ? ending.signal : AbortSignal.any([ending.signal, options.signal])
  const keep = async (part: PartName, { process }: StartedPart, restart: RestartOptions): Promise<void> => {
    const status = await keepRunning({
      first: process,
      restart: async () => {
        // Its tether alone may have ended: the program has been told to, and is in the way of the next one.
        await running.get(part)?.process.stop()
        await record.end(part, tetherlessPatienceMs)
        const own = Object.fromEntries(portNames[part].map((name) => [name, ports[name]]))
        await choosePorts(portNames[part], { dataDir: options.dataDir, configured: own })
        const [, again] = await startPart(part, whileServing)
        restart.restarted()
        return again.process
      },
      notice: (what) => restart.notice({ part, what }),
      signal: whileServing,
    })
    if (status !== undefined) deaths.resolve(notComeBack(part, status, logOf(part)))
  }
  const addresses: Partial<EmbeddedAddresses> = {}
  for (const [part, started] of await Promise.all(starting)) {
    addresses[addressNames[part]] = started.address
    if (options.restart !== undefined) keeping.push(keep(part, started, options.restart))
    else void started.process.exited.then((status) => deaths.resolve(died(part, status, logOf(part))))
  }
  const toStop = cleanUp.move()
  return {
    addresses,
    get pids() {
      return Object.fromEntries([...running].map(([part, { process }]) => [part, process.pids]))
    },
    died: deaths.promise,
    [Symbol.asyncDispose]: () => toStop.disposeAsync(),
  }
}

interface Running {
  process: TetheredProcess
  afterStop?: () => Promise<void>
}

/** Callers wait for the next one meanwhile, and every part comes back from a kill. */
const tetherlessPatienceMs = 5_000

/** Nothing here depends on another part while it stops but a registry's and a sink's last requests. */
async function stopInOrder(running: ReadonlyMap<PartName, Running>): Promise<void> {
  for (const together of [
    ['clickhouse', 'registry'],
    ['kafka', 'postgres'],
  ] as const) {
    await Promise.all(together.map((part) => stop(running.get(part))))
  }
}

async function stop(part: Running | undefined): Promise<void> {
  if (part === undefined) return
  await part.process.stop()
  const endedByKill = (await part.process.exited) === 137
  if (!endedByKill) await part.afterStop?.()
}

function defaultCacheDir(environment: Environment): string {
  return join(environment.XDG_CACHE_HOME || join(homedir(), '.cache'), 'embudo')
}

const died = (part: PartName, status: number, logFile: string, more = '') =>
  new EmbudoError(
    'part_died',
    `The embedded ${part} ended by itself with status ${status}${more}. Its log: ${logFile}`,
    { facts: { part, status, logFile } },
  )

const notComeBack = (part: PartName, status: number, logFile: string) =>
  died(part, status, logFile, ` and did not come up again in ${mostAttempts} attempts`)
