import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { env } from 'node:process'
import type { ProcessIdentity } from '../src/embedded/process-identity.ts'
import type { RunFile } from '../src/run-file.ts'
import { alive, signalTo, until, untilGone, withDescendants } from './processes.ts'

const executable = join(import.meta.dirname, '..', 'bin', 'embudo')

/** A cold start on a machine that does other things as well. */
const startPatienceMs = 240_000
const stopPatienceMs = 180_000

type Settings = Readonly<Record<string, string>>

/**
 * `embudo up` as a process of its own on a data folder of its own, as a user meets it. Disposing ends it and
 * removes its data.
 */
export class Program implements AsyncDisposable {
  readonly dataDir: string
  readonly #environment: Settings
  #child: ChildProcess | undefined
  #run: RunFile | undefined
  #said = ''
  readonly #processes = new Map<string, ProcessIdentity>()

  static async start(settings: Settings = {}): Promise<Program> {
    const program = await Program.prepare(settings)
    try {
      await program.start()
      return program
    } catch (error) {
      await program[Symbol.asyncDispose]()
      throw error
    }
  }

  /** A data folder on which nothing has been started yet. */
  static async prepare(settings: Settings = {}): Promise<Program> {
    return new Program(await mkdtemp(join(tmpdir(), 'embudo-program-')), settings)
  }

  private constructor(dataDir: string, settings: Settings) {
    this.dataDir = dataDir
    this.#environment = {
      ...Object.fromEntries(Object.entries(env).filter(([name]) => !configures.test(name))),
      EMBUDO_DATA_DIR: dataDir,
      EMBUDO_PORT: '0',
      EMBUDO_APPEND_TIMEOUT_MS: patientAppendMs,
      ...settings,
    } as Settings
  }

  /** Addresses and pids, as the program left them when it began to serve. */
  get run(): RunFile {
    if (this.#run === undefined) throw new Error('the program does not run')
    return this.#run
  }

  /** What it has printed so far, of all starts. */
  get said(): string {
    return this.#said
  }

  /** Starts it and waits until it serves; answers how many seconds that took. */
  async start(): Promise<number> {
    const begun = performance.now()
    const child = this.spawn()
    this.#child = child
    const pid = child.pid ?? 0
    await this.#until('serving', startPatienceMs, async () => {
      if (hasEnded(child)) throw new Error(`embudo up ended with ${child.exitCode ?? child.signalCode}`)
      // The file of a run that was killed is still there: it counts when it names this process.
      const run = await this.readRunFile()
      if (run?.pids.up?.[0] !== pid || !(await isReady(run.http))) return false
      this.#run = run
      return true
    })
    const seconds = (performance.now() - begun) / 1_000
    await this.processes()
    return seconds
  }

  /** Starts it and kills everything as soon as it has said that, or serves. */
  async startAndKill(moment: RegExp): Promise<void> {
    const before = this.#said.length
    this.#child = this.spawn()
    await this.#until(`it says ${moment}`, startPatienceMs, async () => {
      const said = this.#said.slice(before)
      return moment.test(said) || said.includes('embudo is up')
    })
    await this.kill()
  }

  /** `up` on the same data, whatever comes of it. */
  spawn(): ChildProcess {
    const child = spawn(executable, ['up'], { env: this.#environment, stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (piece: Buffer) => {
        this.#said += piece.toString()
      })
    }
    return child
  }

  /** kill -9 of all its processes, embedded parts and their children included. */
  async kill(): Promise<void> {
    const processes = await this.processes()
    // Those that would stop the others in order go last.
    await signalTo(processes.toReversed(), 'SIGKILL')
    await untilGone(processes)
    this.#run = undefined
  }

  /** Of all starts: everything that ran, with the children that it has now. */
  async processes(): Promise<readonly ProcessIdentity[]> {
    await this.#refresh()
    const own = this.#child === undefined || hasEnded(this.#child) ? [] : [this.#child.pid ?? 0]
    const pids = [...own, ...Object.values(this.#run?.pids ?? {}).flat(), ...(await this.#recorded())]
    for (const one of await withDescendants(pids)) this.#processes.set(`${one.pid} ${one.startedAt}`, one)
    return [...this.#processes.values()]
  }

  /** Sends a signal to one role, or to the supervisor (`up`). */
  async signal(name: 'up' | 'http' | 'worker', signal: NodeJS.Signals): Promise<void> {
    await this.#refresh()
    for (const pid of this.run.pids[name] ?? []) {
      try {
        process.kill(pid, signal)
      } catch {
        // It has ended in between.
      }
    }
  }

  /** kill -9 of one role, and waiting until the supervisor has started it again. */
  async killRole(name: 'http' | 'worker'): Promise<void> {
    await this.#refresh()
    const before = this.run.pids[name] ?? []
    await this.signal(name, 'SIGKILL')
    await this.#until(`${name} has been started again`, startPatienceMs, async () => {
      await this.#refresh()
      const now = this.run.pids[name] ?? []
      return now.length > 0 && !now.some((pid) => before.includes(pid)) && (await isReady(this.run.http))
    })
  }

  /** Asks it to stop, and answers with its exit status once it has ended. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | NodeJS.Signals | null> {
    const child = this.#child
    if (child === undefined || hasEnded(child)) return child?.exitCode ?? null
    const ended = once(child, 'exit')
    child.kill(signal)
    const tooLong = setTimeout(() => child.kill('SIGKILL'), stopPatienceMs)
    await ended
    clearTimeout(tooLong)
    this.#run = undefined
    return child.exitCode ?? child.signalCode
  }

  async readRunFile(): Promise<RunFile | undefined> {
    try {
      return JSON.parse(await readFile(join(this.dataDir, 'run.json'), 'utf8')) as RunFile
    } catch {
      return undefined
    }
  }

  /** A command of the command line on this program, as a process. */
  command(...args: string[]): ChildProcess {
    return spawn(executable, args, { env: this.#environment, stdio: ['ignore', 'pipe', 'pipe'] })
  }

  /** Of a command that has to succeed: what it printed. */
  async ask(...args: string[]): Promise<string> {
    const { status, stdout, stderr } = await finished(this.command(...args))
    if (status !== 0) throw new Error(`embudo ${args.join(' ')} ended with ${status}: ${stderr}`)
    return stdout
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const processes = await this.processes()
    await signalTo(processes, 'SIGCONT')
    await this.stop()
    await untilGone(processes, 10_000).catch(() => signalTo(processes.toReversed(), 'SIGKILL'))
    await untilGone(processes)
    await rm(this.dataDir, { recursive: true, force: true })
  }

  /** Pids and addresses change when a role is started again. */
  async #refresh(): Promise<void> {
    const found = await this.readRunFile()
    if (found !== undefined && found.pids.up?.[0] === this.#child?.pid) this.#run = found
  }

  /** The embedded parts of a start that has not come to serve. */
  async #recorded(): Promise<number[]> {
    const recorded = await readFile(join(this.dataDir, 'processes.json'), 'utf8').catch(() => '[]')
    return (await alive(JSON.parse(recorded) as ProcessIdentity[])).map(({ pid }) => pid)
  }

  async #until(what: string, patienceMs: number, holds: () => Promise<boolean>): Promise<void> {
    try {
      await until(what, holds, patienceMs)
    } catch (error) {
      throw new Error(`${(error as Error).message}; embudo said:\n${this.#said.slice(-4_000)}`)
    }
  }
}

/** Where no test is about it, a slow machine is no reason for a 503. */
export const patientAppendMs = '60000'

export interface Finished {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

export const finished = async (child: ChildProcess): Promise<Finished> => {
  let stdout = ''
  let stderr = ''
  child.stdout?.on('data', (piece: Buffer) => {
    stdout += piece.toString()
  })
  child.stderr?.on('data', (piece: Buffer) => {
    stderr += piece.toString()
  })
  await once(child, 'close')
  return { status: child.exitCode, stdout, stderr }
}

/** Settings of whoever runs the tests are none of the program under test. */
export const configures =
  /^(EMBUDO_|KAFKA_|SCHEMA_REGISTRY_|DATABASE_URL$|CLICKHOUSE_URL$|OTEL_|VITEST|NODE_OPTIONS$)/

const hasEnded = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null

const isReady = async (address: string): Promise<boolean> => {
  try {
    const response = await fetch(`${address}/readyz`, { signal: AbortSignal.timeout(2_000) })
    await response.arrayBuffer()
    return response.ok
  } catch {
    return false
  }
}
