import * as z from 'zod'
import { EmbudoError, isRetriable } from '../define/error.ts'
import type { AddCommand, CommandContext } from './context.ts'
import { jsonOption, urlOption } from './options.ts'
import { coloursOf, count, printJson, printLine, printTable, span } from './output.ts'
import { progressBar } from './progress.ts'
import { addCheck } from './projections-check.ts'
import { addRepair } from './projections-repair.ts'
import { type Server, serverAt } from './server.ts'

interface Options {
  readonly url?: string
  readonly json?: true
}

export const projectionsCommand: AddCommand = (program, context) => {
  const projections = program
    .command('projections')
    .description('read models and analytics tables: how far they are, and rebuilding them')
  projections
    .command('list')
    .description('every projection, its state and how far it is behind the log')
    .addOption(urlOption())
    .addOption(jsonOption())
    .action(async (options: Options) => await list(options, context))
  projections
    .command('rebuild')
    .description('a new generation from the whole log; readers see the old one until it is complete')
    .argument('<name>', 'for example lead_profile')
    .option('--no-wait', 'begin it and return')
    .addOption(urlOption())
    .addOption(jsonOption())
    .action(
      async (name: string, options: Options & { wait: boolean }) => await rebuild(name, options, context),
    )
  addRepair(projections, context)
  addCheck(projections, context)
}

/** As the interface says; what it may say besides is passed on with --json. */
const projection = z.looseObject({
  name: z.string(),
  kind: z.string(),
  version: z.number(),
  state: z.string(),
  lag: z.number().nullish(),
  positions: z.array(z.looseObject({ error: z.string().nullish() })).optional(),
  rebuild: z
    .looseObject({
      state: z.string(),
      percent: z.number().nullish(),
      eventsPerSecond: z.number().nullish(),
      etaSeconds: z.number().nullish(),
    })
    .nullish(),
})
type Projection = z.output<typeof projection>
type Rebuild = NonNullable<Projection['rebuild']>

const page = z.looseObject({ items: z.array(projection) })

const list = async (options: Options, context: CommandContext): Promise<void> => {
  const answer = await fetchAll(serverAt(context, options.url))
  if (options.json) return printJson(context, answer)
  const { green, yellow, red, dim } = coloursOf(context.isTerminal)
  const colour = (state: string) =>
    (/fail|dead|stall/.test(state) ? red : /live|running|ok/.test(state) ? green : yellow)(state)
  printTable(
    context,
    [
      { title: 'projection' },
      { title: 'kind' },
      { title: 'version', align: 'right' },
      { title: 'state' },
      { title: 'behind', align: 'right' },
      { title: 'rebuild' },
    ],
    answer.items.map(({ name, kind, version, state, lag, rebuild: running }) => [
      name,
      kind,
      String(version),
      colour(state),
      lag === undefined || lag === null ? '-' : count(lag),
      running ? describe(running) : dim('-'),
    ]),
  )
}

const pollMs = 500
/** A restart of the server in the middle of a rebuild is no reason to stop looking. */
const silencePatienceMs = 60_000

const rebuild = async (
  name: string,
  options: Options & { wait: boolean },
  context: CommandContext,
): Promise<void> => {
  const server = serverAt(context, options.url)
  const startedAt = context.now()
  const begun = await server.post(`/api/projections/${encodeURIComponent(name)}/rebuild`)
  if (!options.wait) {
    if (options.json) printJson(context, begun ?? { name, state: 'begun' })
    else
      printLine(context, `The rebuild of ${name} has begun; \`embudo projections list\` shows how far it is.`)
    return
  }
  const bar = progressBar(context, `${name}  {bar} {percentage}%  {rate}  ETA {left}  {note}`, 100, {
    rate: '-',
    left: '-',
    note: '',
  })
  try {
    const line = progressLine(context)
    const last = await untilLive(name, server, context, (running) => {
      bar.update(running.percent ?? 0, { rate: rateOf(running), left: leftOf(running), note: running.state })
      line(`${name}  ${describe(running)}`)
    })
    bar.update(100, { left: '0 s', note: 'live' })
    bar.stop()
    const ms = context.now() - startedAt
    if (options.json)
      return printJson(context, { name, state: 'live', version: last.version, seconds: ms / 1_000 })
    const { green } = coloursOf(context.isTerminal)
    printLine(
      context,
      `${green('live')}  ${name} is rebuilt; readers see the new generation after ${span(ms)}`,
    )
  } finally {
    bar.stop()
  }
}

const lineEveryMs = 5_000

/** Where no bar can be shown, in a log for example, a line now and then says that it goes on. */
const progressLine = ({ stderr, showsProgress, now }: CommandContext): ((text: string) => void) => {
  let nextAt = Number.NEGATIVE_INFINITY
  return (text) => {
    if (showsProgress || now() < nextAt) return
    nextAt = now() + lineEveryMs
    stderr.write(`${text}\n`)
  }
}

const untilLive = async (
  name: string,
  server: Server,
  context: CommandContext,
  show: (rebuild: Rebuild) => void,
): Promise<Projection> => {
  let heardAt = context.now()
  for (;;) {
    try {
      const found = (await fetchAll(server)).items.find((item) => item.name === name)
      heardAt = context.now()
      if (found === undefined)
        throw new EmbudoError('unknown_projection', `the server has no projection ${name} any more`)
      const running = found.rebuild
      if (!running || running.state === 'live') return found
      if (running.state === 'failed') {
        throw new EmbudoError(
          'rebuild_failed',
          `the rebuild of ${name} failed${reasonIn(found)}; readers still see the old generation`,
        )
      }
      show(running)
    } catch (error) {
      if (!context.signal.aborted && !(isRetriable(error) && context.now() - heardAt < silencePatienceMs))
        throw error
    }
    if (!context.signal.aborted) await context.wait(pollMs)
    if (context.signal.aborted) {
      throw new EmbudoError(
        'interrupted',
        `no longer looking; the rebuild of ${name} goes on in the server, and \`embudo projections list\` shows it`,
      )
    }
  }
}

const fetchAll = async (server: Server): Promise<z.output<typeof page>> => {
  const answer = page.safeParse(await server.get('/api/projections'))
  if (answer.success) return answer.data
  throw new EmbudoError(
    'unexpected_answer',
    `the list of projections is not as expected: ${z.prettifyError(answer.error)}`,
  )
}

const describe = (running: Rebuild): string =>
  [`${running.state} ${Math.floor(running.percent ?? 0)}%`, rateOf(running), `ETA ${leftOf(running)}`].join(
    '  ',
  )

const rateOf = ({ eventsPerSecond }: Rebuild): string =>
  eventsPerSecond ? `${count(Math.round(eventsPerSecond))}/s` : '-'

const leftOf = ({ etaSeconds }: Rebuild): string =>
  etaSeconds === undefined || etaSeconds === null ? '-' : span(Math.round(etaSeconds) * 1_000)

/** The first partition that stopped says why. */
const reasonIn = ({ positions, rebuild }: Projection): string => {
  const error = positions?.find((position) => position.error)?.error ?? rebuild?.error
  return typeof error === 'string' ? `: ${error}` : ''
}
