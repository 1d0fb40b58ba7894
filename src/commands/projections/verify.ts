import * as z from 'zod'
import { EmbudoError } from '../../define/error.ts'
import type { CommandContext } from '../context.ts'
import { coloursOf, count, printJson, printLine, printTable } from '../output.ts'
import { serverAt } from '../server.ts'
import { pathOf } from './listing.ts'

const compared = z.looseObject({ generation: z.number(), version: z.number() })
const row = z.record(z.string(), z.unknown()).nullable()

const verified = z.looseObject({
  live: compared,
  other: compared,
  rows: z.number(),
  differences: z.number(),
  examples: z.array(
    z.looseObject({
      key: z.string(),
      live: row,
      other: row,
      columns: z.array(z.string()),
      deadLettered: z.string().optional(),
    }),
  ),
  columns: z.record(z.string(), z.number()).optional(),
  onlyLive: z.number().optional(),
  onlyOther: z.number().optional(),
  otherColumns: z.array(z.string()).optional(),
  deadLettered: z.number().optional(),
  notCompared: z.number().optional(),
})
type Verified = z.output<typeof verified>

/** A comparison reads the whole model twice. */
const patienceMs = 300_000

/** Throws `verify_differs` where two generations of one version do; of two versions, differences are told and no more. */
export const verifyProjection = async (
  name: string,
  options: { readonly url?: string; readonly json?: true },
  context: CommandContext,
): Promise<void> => {
  const answer = await serverAt(context, options.url).post(pathOf(name, 'verify'), undefined, patienceMs)
  const parsed = verified.safeParse(answer)
  if (!parsed.success)
    throw new EmbudoError('unexpected_answer', `not as expected: ${z.prettifyError(parsed.error)}`)
  const found = parsed.data
  if (options.json) printJson(context, answer)
  else show(name, found, context)
  if (found.differences > 0 && found.live.version === found.other.version) {
    throw new EmbudoError(
      'verify_differs',
      `${count(found.differences)} of ${count(found.rows)} rows of ${name} differ between the generations ${found.live.generation} (live) and ${found.other.generation}`,
    )
  }
}

const show = (name: string, found: Verified, context: CommandContext): void => {
  const { live, other, rows, differences } = found
  const { green, yellow } = coloursOf(context.isTerminal)
  const which = `generation ${live.generation} (live) and ${other.generation}`
  if (differences === 0)
    printLine(context, `${green('equal')}  ${count(rows)} rows of ${name}, ${which}, at equal positions`)
  else {
    printLine(
      context,
      `${yellow('differs')}  ${count(differences)} of ${count(rows)} rows of ${name}, ${which}`,
    )
    for (const line of reasonsIn(found)) printLine(context, `  ${line}`)
    printTable(
      context,
      [{ title: 'key' }, { title: 'column' }, { title: 'live' }, { title: `generation ${other.generation}` }],
      found.examples.flatMap((example) =>
        (example.columns.length > 0 ? example.columns : ['']).map((column, index) => [
          index === 0 ? `${example.key}${example.deadLettered ? ' (dead letter)' : ''}` : '',
          column === '' ? '(the row)' : column,
          told(example.live, column),
          told(example.other, column),
        ]),
      ),
    )
  }
  if (found.notCompared)
    printLine(
      context,
      `${count(found.notCompared)} rows could not be compared: the version that is behind is not this program's`,
    )
}

const reasonsIn = ({ live, other, columns, onlyLive, onlyOther, otherColumns, deadLettered }: Verified) => [
  ...(live.version === other.version
    ? []
    : [`version ${live.version} is live, generation ${other.generation} is of version ${other.version}`]),
  ...Object.entries(columns ?? {}).map(([column, differing]) => `${column}: ${count(differing)} rows`),
  ...(onlyLive ? [`${count(onlyLive)} rows that only the live one has`] : []),
  ...(onlyOther ? [`${count(onlyOther)} rows that only generation ${other.generation} has`] : []),
  ...(otherColumns?.length ? [`not compared, in one version only: ${otherColumns.join(', ')}`] : []),
  ...(deadLettered
    ? [
        `${count(deadLettered)} of them wait behind a dead letter in one of the two: \`embudo dead-letters list\``,
      ]
    : []),
]

const told = (values: Record<string, unknown> | null, column: string): string => {
  if (values === null) return 'missing'
  if (column === '') return 'there'
  const value = values[column]
  return typeof value === 'string' ? value : JSON.stringify(value ?? null)
}
