import { type Command, InvalidArgumentError } from 'commander'
import * as z from 'zod'
import { EmbudoError } from '../define/error.ts'
import type { CommandContext } from './context.ts'
import { unlessInterrupted } from './interrupted.ts'
import { jsonOption, urlOption } from './options.ts'
import { coloursOf, count, printJson, printLine, span } from './output.ts'
import { parsedJson } from './parsed-json.ts'
import { type ProgressBar, progressBar } from './progress.ts'
import { notRunning } from './server.ts'

interface Options {
  readonly subject: readonly string[]
  readonly from?: string
  readonly to?: string
  readonly url?: string
  readonly json?: true
}

export const addRepair = (projections: Command, context: CommandContext): void => {
  projections
    .command('repair')
    .description('fold the rows of some subjects again from the log, and replace those that differ')
    .argument('<name>', 'of a read model or tally, for example lead_profile')
    .option('--subject <id...>', 'whose rows', (id: string, ids: readonly string[]) => [...ids, id], [])
    .option('--from <time>', 'rows of all subjects that have events that happened then or later', instant)
    .option('--to <time>', 'and before then', instant)
    .addOption(urlOption())
    .addOption(jsonOption())
    .action(async (name: string, options: Options) => await repair(name, options, context))
}

/** An instant or a day, at its beginning in UTC. */
export const instant = (text: string): string => {
  const isTime = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/.test(text)
  const ms = isTime ? Date.parse(text) : Number.NaN
  if (!Number.isNaN(ms)) return new Date(ms).toISOString()
  throw new InvalidArgumentError('expected a time as 2026-11-20T10:00:00Z, or a day as 2026-11-20')
}

const repairedSchema = z.object({
  name: z.string(),
  subjects: z.number(),
  changed: z.number(),
  seconds: z.number(),
  failed: z.array(z.object({ key: z.string(), code: z.string(), detail: z.string() })),
})
const lineSchema = z.union([
  repairedSchema,
  z.object({ read: z.number(), total: z.number() }),
  z.object({ error: z.looseObject({ code: z.string(), detail: z.string(), retriable: z.boolean() }) }),
])

const repair = async (name: string, options: Options, context: CommandContext): Promise<void> => {
  const what = whatOf(options)
  const path = `/api/projections/${encodeURIComponent(name)}/repair`
  const repaired = await unlessInterrupted(
    context,
    () => ask(path, what, options.url, context, name),
    `interrupted: ${name} has some of the rows repaired and the others as they were; the same command does them all`,
  )
  const { subjects, changed, seconds, failed } = repaired
  if (options.json) printJson(context, repaired)
  else {
    const { green } = coloursOf(context.isTerminal)
    const took = span(seconds * 1_000)
    const told = `${name}: ${count(changed)} rows of ${count(subjects)} subjects were not what the log says`
    printLine(context, `${green('repaired')}  ${told}, ${took}`)
    for (const failure of failed) printLine(context, notRepaired(failure))
  }
  expectRepaired(failed)
}

export const notRepaired = ({ key, detail }: { readonly key: string; readonly detail: string }): string =>
  `not repaired  ${key}: ${detail}`

/** Throws `repair_incomplete` where rows were left as they are. */
export const expectRepaired = ({ length }: readonly unknown[]): void => {
  if (length > 0)
    throw new EmbudoError('repair_incomplete', `${count(length)} rows cannot be folded or stored`)
}

const whatOf = ({ subject, from, to }: Options): object => {
  if (subject.length > 0 && from === undefined && to === undefined) return { subjects: subject }
  if (subject.length === 0 && from !== undefined && to !== undefined && from < to) return { from, to }
  throw new EmbudoError(
    'wrong_use',
    'say whose rows: --subject <id...>, or --from <time> and a later --to <time>',
  )
}

/** The answer comes in lines: progress, and at the end the result. */
const ask = async (
  path: string,
  what: object,
  url: string | undefined,
  context: CommandContext,
  name: string,
): Promise<z.output<typeof repairedSchema>> => {
  const base = context.baseUrl(url)
  const response = await context
    .fetch(`${base}${path}`, {
      method: 'POST',
      body: JSON.stringify(what),
      headers: { 'content-type': 'application/json', accept: 'application/x-ndjson' },
      signal: context.signal,
    })
    .catch((cause: unknown) => {
      throw notRunning(base, cause)
    })
  using bar = barOnceItTakesLong(name, context)
  for await (const line of linesOf(response)) {
    const parsed = lineSchema.safeParse(response.ok ? parsedJson(line) : { error: parsedJson(line) })
    if (!parsed.success) break
    if ('error' in parsed.data) {
      const { code, detail, retriable } = parsed.data.error
      throw new EmbudoError(code, detail, { retriable, facts: { status: response.status } })
    }
    if ('changed' in parsed.data) return parsed.data
    bar.show(parsed.data)
  }
  throw new EmbudoError(
    'unexpected_answer',
    `${path} was answered with status ${response.status}, and broke off or is no embudo's; repairing again is safe`,
    { retriable: true },
  )
}

async function* linesOf(response: Response): AsyncGenerator<string, void, void> {
  let begun = ''
  for await (const piece of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    const lines = `${begun}${piece}`.split('\n')
    begun = lines.pop()!
    yield* lines
  }
  if (begun !== '') yield begun
}

const patienceMs = 2_000

const barOnceItTakesLong = (name: string, context: CommandContext) => {
  const startedAt = context.now()
  let bar: ProgressBar | undefined
  return {
    show({ read, total }: { readonly read: number; readonly total: number }) {
      const ms = context.now() - startedAt
      if (ms < patienceMs) return
      bar ??= progressBar(context, `${name}  {bar} {percentage}%  {left} records to read`, 100, { left: '' })
      bar.update(total === 0 ? 0 : (100 * read) / total, { left: count(total - read) })
    },
    [Symbol.dispose]: () => bar?.stop(),
  }
}
