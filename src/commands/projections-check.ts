import type { Command } from 'commander'
import type { PoolClient } from 'pg'
import { topicName } from '../define/catalog.ts'
import { EmbudoError } from '../define/error.ts'
import type { PostgresProjection, Projection } from '../projection/definition.ts'
import { checkHistory, type HistoryCheck } from '../projection/postgres/check-history.ts'
import type { CommandContext } from './context.ts'
import { unlessInterrupted } from './interrupted.ts'
import { type OpenHistory, openHistory, openPostgres } from './open-history.ts'
import { jsonOption, wholeNumber } from './options.ts'
import { coloursOf, count, printJson, printLine } from './output.ts'
import { progressBar } from './progress.ts'

interface Options {
  readonly json?: true
  readonly maxRows: number
}

export const addCheck = (projections: Command, context: CommandContext): void => {
  projections
    .command('check')
    .description('fold the history with the code at hand and compare it with the live rows; writes nothing')
    .argument('[name...]', 'of read models and tallies; all of them where none is named')
    .option('--max-rows <n>', 'rows held in memory at once', wholeNumber(1, 100_000_000), 200_000)
    .addOption(jsonOption())
    .action(async (names: string[], options: Options) => {
      await unlessInterrupted(
        context,
        () => check(names, options, context),
        'interrupted: nothing was written',
      )
    })
}

const check = async (names: readonly string[], options: Options, context: CommandContext): Promise<void> => {
  await using history = await openHistory(context)
  const projections = chosen(history.projections, names)
  await using pool = openPostgres(context)
  const items: HistoryCheck[] = []
  for (const projection of projections) {
    const client = await pool.connect()
    try {
      // Positions and rows of one moment, and nothing that could be written by mistake.
      await client.query(
        'begin transaction isolation level repeatable read read only; set local idle_in_transaction_session_timeout = 0',
      )
      items.push(await checkOne(projection, client, history, options, context))
    } finally {
      client.release(true)
    }
    if (!options.json) printCheck(items.at(-1)!, context)
  }
  const differ = items.filter(({ differing, failed }) => differing > 0 || failed > 0)
  if (options.json) printJson(context, { ok: differ.length === 0, items })
  if (differ.length > 0) {
    throw new EmbudoError(
      'history_differs',
      `the code at hand makes other rows than are live of ${differ.map(({ name }) => name).join(', ')}: meant, it needs a higher version and a rebuild; not meant, mend the fold, or the rows with \`npx embudo projections repair\``,
    )
  }
}

const chosen = (projections: readonly Projection[], names: readonly string[]): PostgresProjection[] => {
  const inPostgres = projections.filter((projection) => projection.kind !== 'event tables')
  const unknown = names.filter((name) => !inPostgres.some((projection) => projection.name === name))
  if (unknown.length > 0) {
    throw new EmbudoError(
      'wrong_use',
      `no read model or tally is named ${unknown.join(', ')}; there are ${inPostgres.map(({ name }) => name).join(', ')}`,
    )
  }
  return inPostgres.filter(({ name }) => names.length === 0 || names.includes(name))
}

const checkOne = async (
  projection: PostgresProjection,
  client: PoolClient,
  { log, codec, prefix, corrections }: OpenHistory,
  { maxRows }: Options,
  context: CommandContext,
): Promise<HistoryCheck> => {
  const bar = progressBar(context, `${projection.name}  {bar} {percentage}%  {read} records read`, 100, {
    read: '0',
  })
  try {
    return await checkHistory(projection, topicName(prefix, projection.topic), {
      ...{ client, log, codec, maxRows },
      corrections: await corrections(),
      signal: context.signal,
      onProgress: (read, total) => bar.update((100 * read) / Math.max(1, total), { read: count(read) }),
    })
  } finally {
    bar.stop()
  }
}

const printCheck = (check: HistoryCheck, context: CommandContext): void => {
  const { green, red, yellow, dim } = coloursOf(context.isTerminal)
  const { name, version, live, rows, differing, failed } = check
  const print = (text: string) => printLine(context, text)
  if (live === undefined) {
    print(`${yellow('new')}     ${name}: nothing of it is live`)
    return
  }
  const isSame = differing === 0 && failed === 0
  print(
    `${isSame ? green('same') : red('differs')}    ${name}: ${count(differing)} of ${count(rows)} rows differ` +
      dim(`  version ${version}, live is ${live.version} (generation ${live.generation})`),
  )
  for (const [column, times] of Object.entries(check.columns)) print(`  ${column}: in ${count(times)} rows`)
  for (const { key, columns, live: stored, folded } of check.examples) {
    if (stored === null) print(`  ${key}: is not live, and history has it`)
    else if (folded === null) print(`  ${key}: is live, and history does not have it`)
    else {
      const each = columns.map((column) => `${column} ${shown(stored[column])} -> ${shown(folded[column])}`)
      print(`  ${key}: ${each.join(', ')}`)
    }
  }
  if (differing > check.examples.length) print(dim(`  and ${count(differing - check.examples.length)} more`))
  if (failed > 0) print(`  ${red(`${count(failed)} cannot be folded or stored`)}`)
  for (const { key, detail } of check.failures) print(`  ${key}: ${detail}`)
  const told: readonly (readonly [string, readonly string[]])[] = [
    ['new columns', check.newColumns],
    ['columns that are no more', check.droppedColumns],
    ['columns of another type', check.retypedColumns],
  ]
  for (const [what, columns] of told) {
    if (columns.length > 0) print(dim(`  ${what}, not compared: ${columns.join(', ')}`))
  }
  if (check.parked > 0) {
    print(dim(`  ${count(check.parked)} subjects wait behind a dead letter, and were compared up to there`))
  }
}

const shown = (text: string | null | undefined): string =>
  text === null || text === undefined ? 'null' : text.length > 60 ? `${text.slice(0, 57)}...` : text
