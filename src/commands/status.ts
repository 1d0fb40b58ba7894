import { withoutPassword } from '../config.ts'
import { EmbudoError } from '../define/error.ts'
import { readRunFile } from '../run-file.ts'
import { addressesOf } from './addresses.ts'
import type { AddCommand, CommandContext } from './context.ts'
import { jsonOption, urlOption } from './options.ts'
import { coloursOf, printJson, printLine, printTable } from './output.ts'
import { isAlive, isRunning } from './processes.ts'
import { notRunning } from './server.ts'

interface Options {
  readonly url?: string
  readonly json?: true
}

export const statusCommand: AddCommand = (program, context) => {
  program
    .command('status')
    .description('what runs where, and whether it is well')
    .addOption(urlOption())
    .addOption(jsonOption())
    .action(async (options: Options) => await status(options, context))
}

const status = async ({ url, json }: Options, context: CommandContext): Promise<void> => {
  const config = context.config()
  const http = context.baseUrl(url)
  const health = await healthAt(http, context)
  const found = readRunFile(config.dataDir)
  const run = found !== undefined && isRunning(found) ? found : undefined
  if (run === undefined && health instanceof Error) throw notRunning(http, health)
  const { kafka, registry, postgres, clickhouse } = addressesOf(config)
  const pids = run?.pids ?? {}
  if (json) {
    const addresses = { kafka, registry, postgres, clickhouse }
    const known = Object.fromEntries(
      Object.entries(addresses).map(([part, address]) => [part, address ?? null]),
    )
    return printJson(context, { http, ...known, pids })
  }
  const { green, yellow, red, dim, bold } = coloursOf(context.isTerminal)
  const parts = health instanceof Error ? {} : health.parts
  const whole = health instanceof Error ? 'down' : health.status
  const colour = (state: string) =>
    (state === 'ok' ? green : state === 'degraded' || state === '-' ? yellow : red)(state)
  const processes = (part: string) =>
    dim((pids[part] ?? []).map((pid) => (isAlive(pid) ? String(pid) : red(`${pid} is gone`))).join(', '))
  const row = (part: string, address: string | undefined, state: string) => [
    part,
    address ?? dim('not known'),
    colour(state),
    processes(part),
  ]
  printTable(
    context,
    [{ title: 'part' }, { title: 'address' }, { title: 'state' }, { title: 'processes' }],
    [
      row('http', http, whole),
      ...Object.entries({ kafka, registry, postgres, clickhouse }).map(([part, address]) =>
        row(part, address === undefined ? undefined : withoutPassword(address), parts[part]?.status ?? '-'),
      ),
      ...['up', 'worker'].filter((part) => part in pids).map((part) => [part, '', '', processes(part)]),
    ],
  )
  printLine(context)
  printLine(
    context,
    health instanceof Error ? `${red('down')}  ${health.message}` : `embudo is ${bold(colour(whole))}`,
  )
  if (health instanceof Error)
    throw new EmbudoError(
      'not_answering',
      `processes run, but ${http} does not answer; see the logs in ${config.dataDir}/logs`,
    )
}

interface Health {
  readonly status: string
  readonly parts: Readonly<Record<string, { readonly status?: string }>>
}

const healthAt = async (base: string, { fetch, signal }: CommandContext): Promise<Health | Error> => {
  try {
    const response = await fetch(`${base}/health`, {
      signal: AbortSignal.any([signal, AbortSignal.timeout(10_000)]),
    })
    const { status, parts } = (await response.json()) as { status?: unknown; parts?: Health['parts'] }
    return typeof status === 'string'
      ? { status, parts: parts ?? {} }
      : new Error(`${base} is no embudo: it has no /health`)
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}
