import * as z from 'zod'
import { EmbudoError } from '../define/error.ts'
import type { AddCommand, CommandContext } from './context.ts'
import { jsonOption, urlOption } from './options.ts'
import { type Column, coloursOf, count, printJson, printLine, printTable } from './output.ts'
import { serverAt } from './server.ts'

interface Options {
  readonly url?: string
  readonly json?: true
  readonly partitions?: true
  readonly topic?: string
  readonly projection?: string
}

export const reconcileCommand: AddCommand = (program, context) => {
  program
    .command('reconcile')
    .description('does it add up: what became of every record of the log in every projection and saga')
    .option('--topic <name>', 'of this topic alone, for example leads')
    .option('--projection <name>', 'of this one alone, for example lead_profile or saga:enrollment')
    .option('--partitions', 'each partition in a line of its own')
    .addOption(urlOption())
    .addOption(jsonOption())
    .action(async (options: Options) => await reconcile(options, context))
}

const partition = z.looseObject({
  projection: z.string(),
  generation: z.number(),
  state: z.string(),
  topic: z.string(),
  partition: z.number(),
  appended: z.number(),
  read: z.number(),
  applied: z.number(),
  notOfInterest: z.number(),
  duplicates: z.number(),
  deadLettered: z.number(),
  markers: z.number(),
  pending: z.number(),
  uncounted: z.number(),
  stored: z.object({ rows: z.number(), offsets: z.number() }).nullable(),
  mismatches: z.array(z.looseObject({ detail: z.string() })),
})
type Partition = z.output<typeof partition>

const answerSchema = z.looseObject({
  addsUp: z.boolean(),
  notCounted: z.string().nullable(),
  items: z.array(partition),
})

const reconcile = async (options: Options, context: CommandContext): Promise<void> => {
  const { topic, projection } = options
  const answer = await serverAt(context, options.url).get('/api/reconciliation', { topic, projection })
  const read = answerSchema.safeParse(answer)
  if (!read.success) {
    throw new EmbudoError(
      'unexpected_answer',
      `the reconciliation is not as expected: ${z.prettifyError(read.error)}`,
    )
  }
  const { addsUp, notCounted, items } = read.data
  if (options.json) printJson(context, answer)
  else print(read.data, options.partitions === true, context)
  if (!addsUp) {
    const amiss = items.filter(({ mismatches }) => mismatches.length > 0).length
    throw new EmbudoError(
      'does_not_add_up',
      `in ${amiss} of ${items.length} partitions something does not add up`,
    )
  }
  if (notCounted !== null) {
    throw new EmbudoError(
      'rows_not_counted',
      `the positions add up, but the rows in ClickHouse were not counted: ${notCounted}`,
      { retriable: true },
    )
  }
}

const print = (
  { addsUp, notCounted, items }: z.output<typeof answerSchema>,
  byPartition: boolean,
  context: CommandContext,
): void => {
  const { green, red, yellow, dim } = coloursOf(context.isTerminal)
  const figure = (value: number, colour = (text: string) => text) =>
    value === 0 ? dim('0') : colour(count(value))
  printTable(
    context,
    [
      { title: 'projection' },
      { title: byPartition ? 'partition' : 'topic' },
      ...figures.map(([title]): Column => ({ title, align: 'right' })),
      { title: 'rows', align: 'right' },
      { title: '' },
    ],
    (byPartition ? items.map((item) => [item]) : byGeneration(items)).map((partitions) => {
      const { projection, generation, state } = partitions[0]!
      const sum = (of: (partition: Partition) => number) =>
        partitions.reduce((total, each) => total + of(each), 0)
      const rows = partitions.some(({ stored }) => stored !== null)
        ? figure(sum(({ stored }) => stored?.rows ?? 0))
        : dim('-')
      return [
        state === 'live' ? projection : `${projection} ${dim(`${state} ${generation}`)}`,
        byPartition ? placeOf(partitions[0]!) : topicsOf(partitions),
        ...figures.map(([, of, isWaiting]) =>
          figure(
            sum((each) => each[of]),
            isWaiting ? yellow : undefined,
          ),
        ),
        rows,
        partitions.every(({ mismatches }) => mismatches.length === 0) ? green('adds up') : red('does not'),
      ]
    }),
  )
  for (const { projection, generation, mismatches, ...place } of items) {
    for (const { detail } of mismatches) {
      printLine(
        context,
        `${red('does not add up')}  ${projection} (generation ${generation}) in ${placeOf(place)}: ${detail}`,
      )
    }
  }
  const uncounted = items.reduce((total, each) => total + each.uncounted, 0)
  if (uncounted > 0) {
    const before = `${count(uncounted)} offsets lie before the first one that was counted; --json says where`
    printLine(context, dim(before))
  }
  if (addsUp && notCounted === null) printLine(context, green('everything adds up'))
}

/** What is summed up, in the order of the columns; the last ones wait for something. */
const figures: readonly (readonly [
  title: string,
  of:
    | 'appended'
    | 'read'
    | 'applied'
    | 'notOfInterest'
    | 'duplicates'
    | 'markers'
    | 'deadLettered'
    | 'pending',
  isWaiting?: true,
])[] = [
  ['appended', 'appended'],
  ['read', 'read'],
  ['applied', 'applied'],
  ['no interest', 'notOfInterest'],
  ['duplicates', 'duplicates'],
  ['markers', 'markers'],
  ['dead letters', 'deadLettered', true],
  ['pending', 'pending', true],
]

const byGeneration = (items: readonly Partition[]): (readonly Partition[])[] => [
  ...Map.groupBy(items, ({ projection, generation }) => `${projection}/${generation}`).values(),
]

const topicsOf = (partitions: readonly Partition[]): string => {
  const topics = new Set(partitions.map(({ topic }) => topic))
  return topics.size === 1 ? partitions[0]!.topic : `${topics.size} topics`
}

const placeOf = ({ topic, partition }: Pick<Partition, 'topic' | 'partition'>): string =>
  `${topic}:${partition}`
