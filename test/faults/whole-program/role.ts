import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { env, execPath } from 'node:process'
import { configures, patientAppendMs } from '../../program.ts'

const root = join(import.meta.dirname, '../../..')
const startPatienceMs = 240_000

type Settings = Readonly<Record<string, string>>

/** `embudo start --roles ...` as a process of its own. It ends when whoever started it does, however that ends. */
export class Role implements AsyncDisposable {
  readonly #roles: string
  readonly #settings: Settings
  readonly #folder: string
  #child: ChildProcess | undefined
  #isToEnd = false
  #hasDied = false
  #address = ''
  #said = ''

  /** `folder`: of the project, where it is not this one. */
  constructor(roles: string, settings: Settings, folder = root) {
    this.#roles = roles
    this.#settings = settings
    this.#folder = folder
  }

  static async start(roles: string, settings: Settings, folder?: string): Promise<Role> {
    const role = new Role(roles, settings, folder)
    try {
      await role.start()
      return role
    } catch (error) {
      await role[Symbol.asyncDispose]()
      throw error
    }
  }

  get address(): string {
    return this.#address
  }

  get said(): string {
    return this.#said
  }

  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** Whether it has ever ended while it served, and nobody had ended it. */
  get hasDied(): boolean {
    return this.#hasDied
  }

  /** Until it serves: one that cannot reach a part as it starts is started again, as by any supervisor. */
  async start(attempts = 10): Promise<void> {
    for (let left = attempts; ; left--) {
      try {
        return await this.#startOnce()
      } catch (error) {
        if (left <= 1) throw error
      }
    }
  }

  async #startOnce(): Promise<void> {
    this.#isToEnd = false
    const inherited = Object.entries(env).filter(([name]) => !configures.test(name))
    const child = spawn(execPath, [join(this.#folder, 'src/main.ts'), 'start', '--roles', this.#roles], {
      cwd: this.#folder,
      env: {
        ...Object.fromEntries(inherited),
        ...{ EMBUDO_PORT: '0', EMBUDO_APPEND_TIMEOUT_MS: patientAppendMs },
        ...this.#settings,
      },
      // It leaves when the channel closes.
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    })
    this.#child = child
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (piece: Buffer) => {
        this.#said = `${this.#said}${piece}`.slice(-keptCharacters)
      })
    }
    const signal = AbortSignal.timeout(startPatienceMs)
    const ended = once(child, 'exit').then(() => {
      throw new Error(`${this.#roles} ended before it served:\n${this.#said}`)
    })
    const told = once(child, 'message', { signal }) as Promise<[{ ready: string }]>
    // Only one of them is waited for.
    ended.catch(() => {})
    told.catch(() => {})
    const [{ ready }] = await Promise.race([told, ended]).catch((error: unknown) => {
      child.kill('SIGKILL')
      throw error
    })
    child.once('exit', () => {
      this.#hasDied ||= !this.#isToEnd
    })
    this.#address = ready
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal)
  }

  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  /** Asks it to stop, and waits; answers its exit status. */
  async stop(): Promise<number | null> {
    const child = this.#child
    const tooLong = setTimeout(() => this.signal('SIGKILL'), 180_000)
    await this.#end('SIGTERM')
    clearTimeout(tooLong)
    return child?.exitCode ?? null
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.signal('SIGCONT')
    await this.stop()
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    if (child === undefined || !this.isRunning) return
    this.#isToEnd = true
    const exit = once(child, 'exit')
    child.kill(signal)
    await exit
  }
}

const keptCharacters = 200_000
