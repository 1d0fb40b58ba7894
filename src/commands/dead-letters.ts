import { InvalidArgumentError } from 'commander'
import * as z from 'zod'
import { EmbudoError } from '../define/error.ts'
import type { AddCommand, CommandContext } from './context.ts'
import { jsonOption, urlOption, wholeNumber } from './options.ts'
import { coloursOf, count, printJson, printLine, printTable } from './output.ts'
import { progressBar } from './progress.ts'
import { type Server, serverAt } from './server.ts'

interface Options {
  readonly url?: string
  readonly json?: true
}

interface ListOptions extends Options {
  readonly projection?: string
  readonly subject?: string
  readonly code?: string
  readonly state?: string
  readonly limit: number
  readonly cursor?: string
}

interface ManyOptions extends Options {
  readonly all?: true
  readonly projection?: string
  readonly subject?: string
  readonly code?: string
  readonly reason?: string
}

export const deadLettersCommand: AddCommand = (program, context) => {
  const letters = program
    .command('dead-letters')
    .description('records that a projection could not apply: why, and what is decided about them')
  letters
    .command('list')
    .description('those that are not settled, the oldest first')
    .option('--projection <name>', 'for example lead_profile')
    .option('--subject <id>', 'for example L-1')
    .option('--code <code>', 'for example fold_failed')
    .option('--state <state>', 'open, deciding, retrying, applied or discarded')
    .option('--limit <n>', 'how many at most', wholeNumber(1, 1_000), 50)
    .option('--cursor <cursor>', 'as the page before named it, with the same filters')
    .addOption(urlOption())
    .addOption(jsonOption())
    .action(async (options: ListOptions) => await list(options, context))
  letters
    .command('show')
    .description('one of them, with its record')
    .argument('<id>')
    .addOption(urlOption())
    .addOption(jsonOption())
    .action(async (id: string, options: Options) => await show(id, options, context))
  letters
    .command('edit')
    .description('put other data in its place, for this projection and every rebuild of it, and try again')
    .argument('<id>')
    .requiredOption(
      '--data <json>',
      "all of the event's data; what says [personal] stays as it is",
      parsedData,
    )
    .option('--type <event>', "where the record's own cannot be told")
    .option('--reason <text>', 'kept with the decision')
    .addOption(urlOption())
    .addOption(jsonOption())
    .action(
      async (id: string, options: Options & { data: object; type?: string; reason?: string }) =>
        await edit(id, options, context),
    )
  for (const [name, description] of [
    ['retry', 'try again, and release what waits behind in order'],
    ['discard', 'pass over, in this projection and every rebuild of it, and release what waits behind'],
  ] as const) {
    const command = letters
      .command(name)
      .description(description)
      .argument('[ids...]')
      .option('--all', 'every one that failed itself, or those that these name:')
      .option('--projection <name>', 'with --all: of this projection')
      .option('--subject <id>', 'with --all: of this subject')
      .option('--code <code>', 'with --all: that failed with this code')
    if (name === 'discard') command.option('--reason <text>', 'kept with the decision')
    command
      .addOption(urlOption())
      .addOption(jsonOption())
      .action(async (ids: string[], options: ManyOptions) => await decideMany(name, ids, options, context))
  }
}

const item = z.looseObject({
  id: z.string(),
  projection: z.string(),
  topic: z.string(),
  partition: z.number(),
  offset: z.number(),
  subject: z.string(),
  type: z.string().nullish(),
  cause: z.string(),
  error: z.string().nullish(),
  state: z.string(),
  attempts: z.number(),
  waiting: z.number(),
  parkedAt: z.string(),
})
type Letter = z.output<typeof item>

const page = z.looseObject({ items: z.array(item), nextCursor: z.string().nullish() })
const whole = item.extend({
  appendedAt: z.string(),
  headers: z.record(z.string(), z.string()),
  data: z.record(z.string(), z.unknown()).nullish(),
  value: z.string().nullish(),
})

const list = async (options: ListOptions, context: CommandContext): Promise<void> => {
  const { projection, subject, code, state, limit, cursor } = options
  const answer = await ask(serverAt(context, options.url), {
    ...{ projection, subject, code, state, limit: String(limit), cursor },
  })
  if (options.json) return printJson(context, answer)
  if (answer.items.length === 0) return printLine(context, 'No dead letters.')
  const { red, yellow, dim } = coloursOf(context.isTerminal)
  printTable(
    context,
    [
      { title: 'id', align: 'right' },
      { title: 'projection' },
      { title: 'subject' },
      { title: 'event' },
      { title: 'at' },
      { title: 'state' },
      { title: 'waiting', align: 'right' },
      { title: 'why' },
    ],
    answer.items.map((letter) => [
      letter.id,
      letter.projection,
      letter.subject,
      letter.type ?? dim('unreadable'),
      placeOf(letter),
      letter.cause === 'behind' ? dim('behind') : (letter.state === 'open' ? red : yellow)(letter.state),
      letter.waiting === 0 ? dim('-') : count(letter.waiting),
      shortened(letter.error ?? ''),
    ]),
  )
  if (answer.nextCursor) printLine(context, dim(`more: --cursor ${answer.nextCursor}`))
}

const show = async (id: string, options: Options, context: CommandContext): Promise<void> => {
  const letter = expected(whole, await serverAt(context, options.url).get(pathOf(id)))
  if (options.json) return printJson(context, letter)
  const { red, dim } = coloursOf(context.isTerminal)
  const lines = [
    `${letter.type ?? 'unreadable'} of ${letter.subject}  ${red(letter.state)}  ${letter.projection}  ${placeOf(letter)}`,
    ...(letter.error ? [red(letter.error)] : [dim('waits for the one before it')]),
    dim(`appended ${letter.appendedAt}, parked ${letter.parkedAt}, tried ${letter.attempts} times`),
    ...(letter.waiting > 0 ? [dim(`${count(letter.waiting)} wait behind it`)] : []),
    '',
    letter.data
      ? JSON.stringify(letter.data, undefined, 2)
      : `${dim('value, base64:')} ${letter.value ?? ''}`,
  ]
  for (const line of lines) printLine(context, line)
}

const edit = async (
  id: string,
  { data, type, reason, ...options }: Options & { data: object; type?: string; reason?: string },
  context: CommandContext,
): Promise<void> => {
  const answer = await serverAt(context, options.url).post(`${pathOf(id)}/edit`, {
    ...{ data, type, reason },
  })
  report([expected(item, answer)], options, context)
}

const decideMany = async (
  decision: 'retry' | 'discard',
  ids: readonly string[],
  options: ManyOptions,
  context: CommandContext,
): Promise<void> => {
  if ((ids.length === 0) === (options.all === undefined))
    throw new EmbudoError('wrong_use', 'name the ids, or say --all (with --projection, --subject, --code)')
  const server = serverAt(context, options.url)
  const chosen = options.all ? await everyPoison(server, options) : [...new Set(ids)]
  const query = options.reason === undefined ? '' : `?reason=${encodeURIComponent(options.reason)}`
  const bar = progressBar(context, `${decision}  {bar} {value} of {total}`, chosen.length, {})
  const decided: Letter[] = []
  const failed: Failed[] = []
  try {
    for (const [index, id] of chosen.entries()) {
      try {
        decided.push(expected(item, await server.post(`${pathOf(id)}/${decision}${query}`)))
      } catch (error) {
        if (!(error instanceof EmbudoError) || hopeless.has(error.code)) throw error
        // A record that two generations have parked is settled in both by the first decision.
        const isDone = options.all === true && error.code === 'letter_settled'
        if (!isDone) failed.push({ id, code: error.code, detail: error.message })
      }
      bar.update(index + 1)
    }
  } finally {
    bar.stop()
  }
  report(decided, options, context, failed)
}

interface Failed {
  readonly id: string
  readonly code: string
  readonly detail: string
}

/** The next one would not fare better. */
const hopeless: ReadonlySet<string> = new Set(['not_running', 'interrupted', 'unexpected_answer'])

/** Those that wait behind another are released with it. */
const everyPoison = async (server: Server, { projection, subject, code }: ManyOptions): Promise<string[]> => {
  const ids: string[] = []
  for (let cursor: string | undefined; ; ) {
    const found = await ask(server, {
      ...{ projection, subject, code, cursor, poisonOnly: 'true', limit: '1000' },
    })
    ids.push(...found.items.map(({ id }) => id))
    if (!found.nextCursor) return ids
    cursor = found.nextCursor
  }
}

/** Throws `still_parked` where one of them is, and `not_decided` where one was refused. */
const report = (
  letters: readonly Letter[],
  options: Options,
  context: CommandContext,
  failed: readonly Failed[] = [],
): void => {
  const { green, yellow, red } = coloursOf(context.isTerminal)
  if (options.json) printJson(context, { items: letters, ...(failed.length === 0 ? {} : { failed }) })
  else {
    for (const letter of letters) {
      const isSettled = ['applied', 'discarded'].includes(letter.state)
      const told = (isSettled ? green : yellow)(letter.state)
      printLine(context, `${told}  ${letter.id}  ${letter.projection}  ${letter.subject}  ${placeOf(letter)}`)
    }
    for (const { id, code, detail } of failed)
      printLine(context, `${red('failed')}  ${id}  ${code}  ${detail}`)
  }
  const all = letters.length + failed.length
  const [first] = failed
  // Of a single one its own code is told.
  if (first !== undefined && all === 1) throw new EmbudoError(first.code, first.detail)
  if (first !== undefined)
    throw new EmbudoError(
      'not_decided',
      `${count(failed.length)} of ${count(all)} could not be decided about: ${first.detail}`,
    )
  const open = letters.filter(({ state }) => state === 'open')
  if (open.length === 0) return
  throw new EmbudoError(
    'still_parked',
    `${count(open.length)} of ${count(letters.length)} still cannot be applied: ${shortened(open[0]?.error ?? 'one before it waits')}`,
  )
}

const ask = async (server: Server, query: Readonly<Record<string, string | undefined>>) =>
  expected(page, await server.get('/api/dead-letters', query))

const expected = <Schema extends z.ZodType>(schema: Schema, answer: unknown): z.output<Schema> => {
  const parsed = schema.safeParse(answer)
  if (parsed.success) return parsed.data
  throw new EmbudoError(
    'unexpected_answer',
    `what came of dead letters is not as expected: ${z.prettifyError(parsed.error)}`,
  )
}

function parsedData(text: string): object {
  try {
    const data: unknown = JSON.parse(text)
    if (typeof data === 'object' && data !== null && !Array.isArray(data)) return data
  } catch {}
  throw new InvalidArgumentError('expected a JSON object')
}

const pathOf = (id: string): string => `/api/dead-letters/${encodeURIComponent(id)}`

const placeOf = ({ topic, partition, offset }: Letter): string => `${topic}:${partition}:${offset}`

const shortened = (text: string): string => (text.length > 60 ? `${text.slice(0, 59)}…` : text)
