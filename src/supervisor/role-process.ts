import { type ChildProcess, fork } from 'node:child_process'
import cluster from 'node:cluster'
import { createWriteStream } from 'node:fs'
import { setPriority } from 'node:os'
import { createInterface } from 'node:readline'
import type { Config } from '../config.ts'
import { EmbudoError, messageOf } from '../define/error.ts'
import type { KeptPort } from './kept-port.ts'
import { stopLimitMs } from './serve.ts'

export interface RoleProcessOptions {
  readonly name: string
  readonly roles: readonly string[]
  /** The program's own main file. */
  readonly main: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** Absent: as `env` has it, at every start. */
  readonly port?: KeptPort
  /** Aborts when a stop begins: from then on nothing is started again. */
  readonly signal?: AbortSignal
  /** Where its lines go; absent: where this process's go. */
  readonly logFile?: string | undefined
  /** Its number, where it shares a port with others that this process starts. */
  readonly sibling?: number
  /** As `nice` takes it: above 0, others come first where all cores are busy. */
  readonly niceness?: number
  /** How long it may take to finish what it has accepted. */
  readonly stopPatienceMs?: number
  readonly onForked?: (child: ChildProcess) => void
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
  new EmbudoError(
    'role_not_started',
    `${name} cannot start with these settings: see above${logFile === undefined ? '' : `, or ${logFile}`}`,
  )

const usualStopPatienceMs = 20_000

/** Longer than a process gives itself. */
export const stopPatienceMs = (config: Config): number => stopLimitMs(config) + 5_000

const longestRestartDelayMs = 5_000

/**
 * Runs some roles in a process of their own, and starts it again whenever it ends by itself. The channel
 * between the two tells the child when this process is gone.
 */
export const startRoleProcess = (options: RoleProcessOptions): RoleProcess => {
  const { promise: ready, resolve, reject } = Promise.withResolvers<string>()
  ready.catch(() => {})
  let child: ChildProcess | undefined
  let stopping = false
  let failures = 0
  let hasServed = false
  let timer: NodeJS.Timeout | undefined

  const afterEnd = (why: string, code?: number | null): void => {
    options.port?.ended()
    if (stopping || options.signal?.aborted) return
    // Wrong settings do not become right by trying again. What has served had right ones: its port may be taken now.
    if (code === wrongUse && !hasServed) {
      reject(notStarted(options))
      return
    }
    options.onRestart(why)
    timer = setTimeout(start, Math.min(longestRestartDelayMs, 100 * 2 ** failures++))
  }

  const start = (): void => {
    if (options.signal?.aborted) return
    const port = options.port?.forNext()
    const env = port === undefined ? options.env : { ...options.env, EMBUDO_PORT: String(port) }
    let started: ChildProcess
    try {
      started =
        options.sibling === undefined
          ? forkAlone({ ...options, env })
          : forkSibling({ ...options, env }, options.sibling)
    } catch (error) {
      afterEnd(`cannot be started: ${messageOf(error)}`)
      return
    }
    child = started
    // Without a pid there is no process, and no `exit`. Other errors are of a signal or message to it.
    started.on('error', (error) => {
      if (started.pid === undefined) afterEnd(`cannot be started: ${error.message}`)
    })
    if (options.niceness !== undefined) lowerPriority(started, options.niceness)
    if (options.logFile !== undefined) writeLog(started, options.logFile, options)
    options.onForked?.(started)
    started.on('message', (message) => {
      const { ready: address } = message as { ready?: string }
      if (address === undefined || started.pid === undefined) return
      if (options.port?.taken(address) === false) return void started.kill('SIGTERM')
      failures = 0
      hasServed = true
      options.onStarted({ pid: started.pid, address })
      resolve(address)
    })
    started.on('exit', (code, signal) => afterEnd(signal ?? `status ${code}`, code))
  }

  start()
  return {
    ready,
    async [Symbol.asyncDispose]() {
      stopping = true
      clearTimeout(timer)
      const process = child
      if (process?.pid === undefined || process.exitCode !== null || process.signalCode !== null) return
      const ended = new Promise((end) => process.once('exit', end))
      process.kill('SIGTERM')
      const kill = setTimeout(() => process.kill('SIGKILL'), options.stopPatienceMs ?? usualStopPatienceMs)
      await ended
      clearTimeout(kill)
    },
  }
}

const stdioOf = ({ logFile }: RoleProcessOptions): ('ignore' | 'pipe' | 'inherit' | 'ipc')[] =>
  logFile === undefined ? ['ignore', 'inherit', 'inherit', 'ipc'] : ['ignore', 'pipe', 'pipe', 'ipc']

const forkAlone = (options: RoleProcessOptions): ChildProcess =>
  fork(options.main, ['start', '--roles', options.roles.join(',')], {
    env: options.env as NodeJS.ProcessEnv,
    stdio: stdioOf(options),
    // A terminal's Ctrl-C goes to its whole group: what stops when is for this process to say.
    detached: true,
  })

/**
 * One socket for all, held by this process and accepted from by whichever sibling is free. What waits in its
 * queue when one of them dies, or stands still, is taken by another: with a socket each (SO_REUSEPORT) it would
 * be reset or wait, and a second program could join the port unseen; handed out in turn by this process
 * (SCHED_RR), each connection costs twice as much, and one that is on its way to a process that dies hangs.
 */
const forkSibling = (options: RoleProcessOptions, sibling: number): ChildProcess => {
  cluster.schedulingPolicy = cluster.SCHED_NONE
  cluster.setupPrimary({
    exec: options.main,
    args: ['start', '--roles', options.roles.join(','), '--sibling', String(sibling)],
    stdio: stdioOf(options),
  })
  const worker = cluster.fork(options.env)
  // Told of on the process as well, where it is heard.
  worker.on('error', () => {})
  return worker.process
}

/** At once, so that the threads that it is about to start have it as well. */
const lowerPriority = ({ pid }: ChildProcess, niceness: number): void => {
  if (pid === undefined) return
  try {
    setPriority(pid, niceness)
  } catch {
    // Where that is not allowed, or it has ended at once: it is no condition for anything.
  }
}

const writeLog = (
  child: ChildProcess,
  file: string,
  { onNotice }: Pick<RoleProcessOptions, 'onNotice'>,
): void => {
  const log = createWriteStream(file, { flags: 'a' })
  for (const stream of [child.stdout, child.stderr]) {
    // One that could not be started has none.
    if (stream === null) continue
    createInterface({ input: stream }).on('line', (line) => {
      log.write(`${line}\n`)
      const notice = noticeIn(line)
      if (notice !== undefined) onNotice(notice)
    })
  }
  // Its last lines come after its exit.
  child.once('close', () => log.end())
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
