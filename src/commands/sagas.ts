import * as z from 'zod'
import { EmbudoError } from '../define/error.ts'
import type { AddCommand, CommandContext } from './context.ts'
import { jsonOption, urlOption, wholeNumber } from './options.ts'
import { coloursOf, printJson, printLine, printTable, span } from './output.ts'
import { serverAt } from './server.ts'

interface Options {
  readonly url?: string
  readonly json?: true
}

interface ListOptions extends Options {
  readonly state?: string
  readonly type?: string
  readonly subject?: string
  readonly limit: number
}

export const sagasCommand: AddCommand = (program, context) => {
  const sagas = program.command('sagas').description('what is being done about events, and how it went')
  sagas
    .command('list')
    .description('sagas, the latest first')
    .option(
      '--state <state>',
      'RUNNING, WAITING, COMPENSATING, COMPLETED, COMPENSATED, COMPENSATION_FAILED or ABORTED',
      (text) => text.toUpperCase(),
    )
    .option('--type <saga>', 'for example enrollment')
    .option('--subject <id>', 'for example E-1')
    .option('--limit <n>', 'how many at most', wholeNumber(1, 1_000), 50)
    .addOption(urlOption())
    .addOption(jsonOption())
    .action(async (options: ListOptions) => await list(options, context))
  sagas
    .command('show')
    .description('one saga, step by step')
    .argument('<id>')
    .addOption(urlOption())
    .addOption(jsonOption())
    .action(async (id: string, options: Options) => await show(id, options, context))
}

const summary = z.looseObject({
  id: z.string(),
  type: z.string(),
  version: z.number(),
  subject: z.string(),
  state: z.string(),
  startedAt: z.string(),
  endedAt: z.string().nullish(),
})

const page = z.looseObject({ items: z.array(summary), nextCursor: z.string().nullish() })

const saga = summary.extend({
  timeline: z.array(
    z.looseObject({
      at: z.string(),
      step: z.string().nullish(),
      what: z.string(),
      attempt: z.number().nullish(),
      error: z.string().nullish(),
    }),
  ),
})

const list = async (
  { url, json, state, type, subject, limit }: ListOptions,
  context: CommandContext,
): Promise<void> => {
  const answer = await serverAt(context, url).get('/api/sagas', {
    state,
    type,
    subject,
    limit: String(limit),
  })
  if (json) return printJson(context, answer)
  const { items, nextCursor } = read(page, answer)
  if (items.length === 0) return printLine(context, 'No saga is as asked for.')
  const { dim } = coloursOf(context.isTerminal)
  printTable(
    context,
    [
      { title: 'id' },
      { title: 'saga' },
      { title: 'subject' },
      { title: 'state' },
      { title: 'started' },
      { title: 'took', align: 'right' },
    ],
    items.map((item) => [
      item.id,
      item.type,
      item.subject,
      colourOf(item.state, context),
      item.startedAt,
      took(item),
    ]),
  )
  if (nextCursor)
    printLine(
      context,
      dim(`There are more than ${limit}; --limit shows more, --state and --subject narrow them.`),
    )
}

const show = async (id: string, { url, json }: Options, context: CommandContext): Promise<void> => {
  const answer = await serverAt(context, url).get(`/api/sagas/${encodeURIComponent(id)}`)
  if (json) return printJson(context, answer)
  const found = read(saga, answer)
  const { bold, dim, red, yellow } = coloursOf(context.isTerminal)
  printLine(
    context,
    `${bold(`${found.type} ${found.subject}`)}  ${colourOf(found.state, context)}  ${dim(`${took(found)}  ${found.id}`)}`,
  )
  printLine(context)
  const begin = Date.parse(found.startedAt)
  printTable(
    context,
    [{ title: 'at' }, { title: 'after', align: 'right' }, { title: 'step' }, { title: 'what' }],
    found.timeline.map(({ at, step, what, attempt, error }) => {
      const tries = attempt && attempt > 1 ? dim(`  attempt ${attempt}`) : ''
      const isUndo = /undo|undone|compensat|releas|refund/i.test(what)
      return [
        dim(at.slice(11, 23)),
        dim(span(Math.max(0, Date.parse(at) - begin))),
        step ?? '',
        `${isUndo ? yellow(what) : what}${tries}${error ? `  ${red(error)}` : ''}`,
      ]
    }),
  )
}

const colourOf = (state: string, { isTerminal }: CommandContext): string => {
  const { green, yellow, red, cyan } = coloursOf(isTerminal)
  if (state === 'COMPLETED') return green(state)
  if (state === 'COMPENSATED' || state === 'COMPENSATING') return yellow(state)
  return state === 'COMPENSATION_FAILED' || state === 'ABORTED' ? red(state) : cyan(state)
}

const took = ({ startedAt, endedAt }: z.output<typeof summary>): string =>
  endedAt ? span(Date.parse(endedAt) - Date.parse(startedAt)) : '-'

const read = <T extends z.ZodType>(schema: T, answer: unknown): z.output<T> => {
  const parsed = schema.safeParse(answer)
  if (parsed.success) return parsed.data
  throw new EmbudoError(
    'unexpected_answer',
    `the answer about sagas is not as expected: ${z.prettifyError(parsed.error)}`,
  )
}
