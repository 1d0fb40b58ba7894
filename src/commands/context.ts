import { join } from 'node:path'

import { setTimeout as delay } from 'node:timers/promises'
import type { Command } from 'commander'
import { type Config, processEnvironment, readConfig } from '../config.ts'
import { EmbudoError } from '../define/error.ts'
import { readRunFile } from '../run-file.ts'
import { isRunning } from './processes.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/** What a command is handed of the world. */
export interface CommandContext {
  /** Read on first use: `config` and `doctor` must work where it is wrong. */
  readonly config: () => Config
  readonly environment: Environment
  /** The project's folder, with schemas/ and package.json. */
  readonly root: string
  readonly stdin: NodeJS.ReadableStream
  readonly stdout: NodeJS.WritableStream
  readonly stderr: NodeJS.WritableStream
  /** Of standard output: colours and tables that fit. */
  readonly isTerminal: boolean
  /** Of standard error: progress bars. */
  readonly showsProgress: boolean
  /**
   * Where the program answers: what was given, else where `up` serves on this data folder, else what the
   * configuration says. Asked anew before each request, since a restart may have moved it.
   */
  readonly baseUrl: (given?: string) => string
  readonly fetch: typeof fetch
  /** Aborts on Ctrl-C. */
  readonly signal: AbortSignal
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** Ends early, without an error, when the signal aborts. */
  readonly wait: (ms: number) => Promise<void>
  readonly random: () => number
}

/** Adds one command to the program. */
export type AddCommand = (program: Command, context: CommandContext) => void

export const commandContext = (given: Partial<CommandContext> = {}): CommandContext => {
  const environment = given.environment ?? processEnvironment
  const signal = given.signal ?? new AbortController().signal
  let config: Config | undefined
  const context: CommandContext = {
    config: () => {
      config ??= readConfig(environment)
      return config
    },
    environment,
    root: join(import.meta.dirname, '..', '..'),
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    isTerminal: process.stdout.isTTY === true,
    showsProgress: process.stderr.isTTY === true,
    baseUrl: (url) => url?.replace(/\/+$/, '') ?? addressOf(context.config()),
    fetch: globalThis.fetch,
    signal,
    now: Date.now,
    wait: (ms) => delay(Math.max(0, ms), undefined, { signal }).catch(() => undefined),
    random: Math.random,
    ...given,
  }
  return context
}

const addressOf = (config: Config): string => {
  const run = readRunFile(config.dataDir)
  if (run !== undefined && isRunning(run)) return run.http
  if (config.EMBUDO_PORT === 0) {
    throw new EmbudoError(
      'not_running',
      `nothing runs on the data folder ${config.dataDir}; start it with \`make up\`, or say where it answers with --url`,
      { retriable: true },
    )
  }
  // What listens on every address is reached on this machine's own.
  const host = config.EMBUDO_HOST.replace(/^(0\.0\.0\.0|::)$/, '127.0.0.1')
  return `http://${host.includes(':') ? `[${host}]` : host}:${config.EMBUDO_PORT}`
}
