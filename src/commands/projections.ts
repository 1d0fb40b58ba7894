import type { Command } from 'commander'
import type { AddCommand, CommandContext } from './context.ts'
import { jsonOption, urlOption, wholeNumber } from './options.ts'
import { coloursOf, count, printJson, printTable } from './output.ts'
import { changeProjection } from './projections/generations.ts'
import { describeGeneration, describeRebuild, fetchProjections } from './projections/listing.ts'
import { type RebuildOptions, rebuildProjection } from './projections/rebuild.ts'
import { verifyProjection } from './projections/verify.ts'
import { addCheck } from './projections-check.ts'
import { addRepair } from './projections-repair.ts'
import { serverAt } from './server.ts'

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
  ofOne(
    projections,
    'rebuild',
    'a new generation from the whole log; readers see the old one until the new one is found equal',
  )
    .option('--hold', 'leave it to `switch` to show it')
    .option('--max-per-second <records>', 'no faster than this', wholeNumber(1, maxPerSecond))
    .option('--force', 'also of a topic that has lost its beginning: its rows are made of the rest')
    .option('--no-wait', 'begin it and return')
    .action((name: string, options: RebuildOptions) => rebuildProjection(name, options, context))
  ofOne(
    projections,
    'verify',
    'compare what is read with what was rebuilt, at equal positions; fails where they differ',
  ).action((name: string, options: Options) => verifyProjection(name, options, context))
  ofOne(projections, 'switch', 'let the rebuilt generation be what is read').action(
    (name: string, options: Options) => changeProjection(name, 'switch', undefined, options, context),
  )
  ofOne(projections, 'rollback', 'let the generation from before be what is read again').action(
    (name: string, options: Options) => changeProjection(name, 'rollback', undefined, options, context),
  )
  ofOne(
    projections,
    'pause',
    'let a rebuild rest; where there is none, what is read is no longer fed',
  ).action((name: string, options: Options) => changeProjection(name, 'pause', undefined, options, context))
  ofOne(projections, 'resume', 'feed it again')
    .option('--max-per-second <records>', 'no faster than this', wholeNumber(1, maxPerSecond))
    .option('--unlimited', 'as fast as it goes')
    .action((name: string, options: Options & { maxPerSecond?: number; unlimited?: true }) =>
      changeProjection(name, 'resume', limitOf(options), options, context),
    )
  ofOne(projections, 'drop', 'let the previous generation go: there is no rollback any more')
    .option('--building', 'give up the rebuild that is going on instead')
    .action((name: string, options: Options & { building?: true }) =>
      changeProjection(
        name,
        'drop',
        { generation: options.building ? 'building' : 'previous' },
        options,
        context,
      ),
    )
  addRepair(projections, context)
  addCheck(projections, context)
}

const maxPerSecond = 1_000_000_000

const ofOne = (projections: Command, name: string, description: string): Command =>
  projections
    .command(name)
    .description(description)
    .argument('<name>', 'for example lead_profile')
    .addOption(urlOption())
    .addOption(jsonOption())

const limitOf = (options: { maxPerSecond?: number; unlimited?: true }): object | undefined => {
  if (options.unlimited) return { maxPerSecond: null }
  return options.maxPerSecond === undefined ? undefined : { maxPerSecond: options.maxPerSecond }
}

const list = async (options: Options, context: CommandContext): Promise<void> => {
  const answer = await fetchProjections(serverAt(context, options.url))
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
      { title: 'generations' },
    ],
    answer.items.map(({ name, kind, version, state, lag, rebuild, generations }) => [
      name,
      kind,
      String(version),
      colour(state),
      lag === undefined || lag === null ? '-' : count(lag),
      rebuild ? describeRebuild(rebuild) : dim('-'),
      generations?.map(describeGeneration).join(', ') || dim('-'),
    ]),
  )
}
