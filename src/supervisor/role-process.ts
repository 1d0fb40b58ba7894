import { type ChildProcess, fork } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { EmbudoError } from '../define/error.ts'

export interface RoleProcessOptions {
  readonly name: string
  readonly roles: readonly string[]
  /** The program's own main file. */
  readonly main: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly logFile: string
  /** Lines that a person should see: warnings and worse. */
  readonly onNotice: (line: string) => void
  readonly onRestart: (why: string) => void
  readonly onStarted: (process: { readonly pid: number; readonly address: string }) => void
}

export interface RoleProcess extends AsyncDisposable {
  readonly ready: Promise<string>
}

/** What the program exits with when its settings cannot be right: it said why. */
const wrongUse = 2

const notStarted = ({ name, logFile }: RoleProcessOptions): EmbudoError =>
  new EmbudoError('role_not_started', `${name} cannot start with these settings: see above, or ${logFile}`)

/** How long a role may take to finish what it has accepted. */
const stopPatienceMs = 20_000
const longestRestartDelayMs = 5_000

/**
 * Runs some roles in a process of their own, and starts it again whenever it ends by itself. The channel
 * between the two tells the child when this process is gone.
 */
export const startRoleProcess = (options: RoleProcessOptions): RoleProcess => {
  const { promise: ready, resolve, reject } = Promise.withResolvers<string>()
  let child: ChildProcess | undefined
  let stopping = false
  let failures = 0
  let hasServed = false
  let timer: NodeJS.Timeout | undefined

  const start = (): void => {
    const log = createWriteStream(options.logFile, { flags: 'a' })
    child = fork(options.main, ['start', '--roles', options.roles.join(',')], {
      env: options.env as NodeJS.ProcessEnv,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      // A terminal's Ctrl-C goes to its whole group: what stops when is for this process to say.
      detached: true,
    })
    const started = child
    for (const stream of [started.stdout, started.stderr]) {
      createInterface({ input: stream! }).on('line', (line) => {
        log.write(`${line}\n`)
        const notice = noticeIn(line)
        if (notice !== undefined) options.onNotice(notice)
      })
    }
    started.on('message', (message) => {
      const { ready: address } = message as { ready?: string }
      if (address === undefined) return
      failures = 0
      hasServed = true
      options.onStarted({ pid: started.pid!, address })
      resolve(address)
    })
    started.on('exit', (code, signal) => {
      log.end()
      if (stopping) return
      const why = signal ?? `status ${code}`
      // Wrong settings do not become right by trying again.
      if (code === wrongUse && !hasServed) return reject(notStarted(options))
      options.onRestart(why)
      timer = setTimeout(start, Math.min(longestRestartDelayMs, 100 * 2 ** failures++))
    })
  }

  start()
  return {
    ready,
    async [Symbol.asyncDispose]() {
      stopping = true
      clearTimeout(timer)
      const process = child
      if (process === undefined || process.exitCode !== null || process.signalCode !== null) return
      const ended = new Promise((end) => process.once('exit', end))
      process.kill('SIGTERM')
      const kill = setTimeout(() => process.kill('SIGKILL'), stopPatienceMs)
      await ended
      clearTimeout(kill)
    },
  }
}

/** Pino's number for it. */
const errorLevel = 50

/** Pino's lines carry a level; anything else on these streams is worth a look. */
const noticeIn = (line: string): string | undefined => {
  try {
    const { level, msg, error, err } = JSON.parse(line) as {
      level?: number
      msg?: string
      error?: string
      err?: { message?: string }
    }
    if (typeof level !== 'number' || level < errorLevel) return undefined
    return [msg, error ?? err?.message].filter(Boolean).join(': ')
  } catch {
    return line
  }
}
