import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { env } from 'node:process'
import { createInterface } from 'node:readline'
import { Client } from 'pg'
import type { EmbeddedAddresses } from '../../../src/embedded/start.ts'
import { dropDatabase } from '../../drop-database.ts'
import { type LogRecord, readLog } from '../../faults/whole-program/log-reader.ts'
import { until } from '../../processes.ts'

const main = join(import.meta.dirname, '../../../src/main.ts')

type Settings = Readonly<Record<string, string>>

/** What `embudo start` finds there: topics and a database of its own on the parts of the run. */
export interface Surroundings extends AsyncDisposable {
  readonly settings: Settings
  /** As another program reads it. */
  log(): Promise<LogRecord[]>
}

export const surroundings = async (parts: EmbeddedAddresses): Promise<Surroundings> => {
  const name = `start_${randomUUID().replaceAll('-', '').slice(0, 12)}`
  const postgres = new Client({ connectionString: parts.databaseUrl })
  await postgres.connect()
  await postgres.query(`create database ${name}`)
  return {
    settings: {
      KAFKA_BROKERS: parts.kafkaBrokers,
      SCHEMA_REGISTRY_URL: parts.registryUrl,
      DATABASE_URL: parts.databaseUrl.replace(/[^/]*$/, name),
      CLICKHOUSE_URL: parts.clickhouseUrl,
      EMBUDO_TOPIC_PREFIX: `${name}.`,
      EMBUDO_PORT: '0',
      EMBUDO_APPEND_TIMEOUT_MS: '60000',
    },
    log: () => readLog({ kafka: parts.kafkaBrokers, registry: parts.registryUrl }, [`${name}.leads`]),
    [Symbol.asyncDispose]: async () => {
      await dropDatabase(postgres, name)
      await postgres.end()
    },
  }
}

/** `embudo start --roles ingest,query` as a process. Disposing ends it. */
export class Started implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #closed: Promise<void>
  /** Everything that it and its processes have printed. */
  said = ''
  readonly #serving = new Map<number, string>()

  /** Started, and not waited for. */
  constructor(settings: Settings) {
    const inherited = Object.entries(env).filter(([name]) => !configures.test(name))
    this.#child = spawn(process.execPath, [main, 'start', '--roles', 'ingest,query'], {
      env: { ...Object.fromEntries(inherited), ...settings },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#closed = new Promise((closed) => this.#child.once('close', () => closed()))
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      if (stream !== null) createInterface({ input: stream }).on('line', (line) => this.#read(line))
    }
  }

  /** Started, and serving. One that gave up, as where the machine stood still, is started again. */
  static async start(settings: Settings, attempts = 5): Promise<Started> {
    const started = new Started(settings)
    const processes = Number(settings.EMBUDO_INGEST_PROCESSES ?? 1)
    try {
      await started.until('all of its processes serve', () => started.pids.length >= processes)
      return started
    } catch (error) {
      const hasGivenUp = started.exit === 1
      await started[Symbol.asyncDispose]()
      if (hasGivenUp && attempts > 1) return await Started.start(settings, attempts - 1)
      throw error
    }
  }

  /** Its exit status and what it said, where it is to end by itself: other than by giving up. */
  static async refused(settings: Settings, attempts = 5): Promise<Started> {
    const started = new Started(settings)
    const status = await started.ended()
    return status === 1 && attempts > 1 ? await Started.refused(settings, attempts - 1) : started
  }

  get address(): string {
    return [...this.#serving.values()].at(-1) ?? ''
  }

  get port(): number {
    return Number(new URL(this.address).port)
  }

  /** Of all that have begun to serve, in that order; also the ones that have ended since. */
  get pids(): readonly number[] {
    return [...this.#serving.keys()]
  }

  get exit(): number | NodeJS.Signals | null {
    return this.#child.exitCode ?? this.#child.signalCode
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** Its exit status, once it has ended and everything that it had to say has come. */
  async ended(): Promise<number | NodeJS.Signals | null> {
    await this.#closed
    return this.exit
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | NodeJS.Signals | null> {
    this.signal(signal)
    return await this.ended()
  }

  async until(what: string, holds: () => Promise<boolean> | boolean): Promise<void> {
    const still = () => {
      if (this.exit !== null) throw new Error(`it ended with ${this.exit}:\n${this.said.slice(-4_000)}`)
      return holds()
    }
    await until(what, still)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.exit !== null) return
    for (const pid of this.pids) signalTo(pid, 'SIGCONT')
    const tooLong = setTimeout(() => this.signal('SIGKILL'), 40_000)
    await this.stop()
    clearTimeout(tooLong)
  }

  #read(line: string): void {
    this.said += `${line}\n`
    if (!line.includes('"msg":"serving"')) return
    const { pid, address } = JSON.parse(line) as { pid: number; address: string }
    this.#serving.set(pid, address)
  }
}

export const signalTo = (pid: number, signal: NodeJS.Signals): void => {
  try {
    process.kill(pid, signal)
  } catch {
    // It has ended.
  }
}

/** Settings of whoever runs the tests are none of the program under test. */
const configures =
  /^(EMBUDO_|KAFKA_|SCHEMA_REGISTRY_|DATABASE_URL$|CLICKHOUSE_URL$|OTEL_|VITEST|NODE_OPTIONS$)/
