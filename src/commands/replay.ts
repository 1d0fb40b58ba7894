import type { Command } from 'commander'
import { topicName } from '../define/catalog.ts'
import { EmbudoError } from '../define/error.ts'
import type { Log, WholeRecord } from '../log/port.ts'
import { topicSettings } from '../log/topic-settings.ts'
import type { AddCommand, CommandContext } from './context.ts'
import { type OpenHistory, openHistory } from './open-history.ts'
import { jsonOption, positiveNumber } from './options.ts'
import { count } from './output.ts'
import { progressBar } from './progress.ts'
import { expectRepaired, instant } from './projections-repair.ts'
import { type FilterOptions, filterOf } from './replay/filter.ts'
import { pacer } from './replay/pacer.ts'
import { offsets, type PartitionRange, type RangeOptions, rangesOf } from './replay/range.ts'
import { follow, type Run, readRanges } from './replay/read-ranges.ts'
import { failuresIn, goOn, printSummary, type Summary } from './replay/summary.ts'
import type { Target } from './replay/target.ts'
import { toOutput } from './replay/to-output.ts'
import { toProjection } from './replay/to-projection.ts'
import { toTopic } from './replay/to-topic.ts'

interface Options extends RangeOptions, FilterOptions {
  readonly rate?: number
  readonly follow?: true
  readonly toTopic?: string
  readonly create?: true
  readonly toProjection?: string
  readonly json?: true
}

export const replayCommand: AddCommand = (program, context) => {
  const replaying = program
    .command('replay')
    .description("a topic's history again: to standard output, to another topic or to a projection")
    .argument('<topic>', 'leads, or the name that Kafka has for it')
    .option('--from-offset <offset>', 'where to begin; as 0:1042,3:977 for each partition', offsets)
    .option('--to-offset <offset>', 'where to end: that one is not replayed any more', offsets)
    .option('--from <time>', 'begin with what was appended then or later', instant)
    .option('--to <time>', 'end before what was appended then or later', instant)
    .option('--partition <n,...>', 'only these', partitions)
  addFilters(replaying)
    .option('--rate <n>', 'records a second', positiveNumber)
    .option('--follow', 'go on with what comes, until Ctrl-C')
    .option('--to-topic <name>', 'copy the records as they are, each to the partition of its key')
    .option('--create', 'make that topic, with as many partitions, where it is missing')
    .option('--to-projection <name>', 'fold the subjects of these events again, as `projections repair` does')
    .addOption(jsonOption())
    .addHelpText(
      'after',
      '\nWithout a target, every record is a line of JSON on standard output that `embudo send` takes back. Personal data is in there as the log has it.',
    )
    .action(async (topic: string, options: Options) => await replay(topic, options, context))
}

const addFilters = (command: Command): Command =>
  command
    .option('--type <event>', 'only events of this type; several times for several', several, [])
    .option('--subject <id>', 'only events of this subject; several times for several', several, [])
    .option('--source <source>', 'only events of this source; several times for several', several, [])

const several = (text: string, before: readonly string[]): readonly string[] => [...before, text]

const partitions = (text: string): number[] =>
  text.split(',').map((part) => {
    if (/^\d{1,6}$/.test(part)) return Number(part)
    throw new EmbudoError('wrong_use', `--partition: expected numbers as 0,3, got ${text}`)
  })

const replay = async (name: string, options: Options, context: CommandContext): Promise<void> => {
  refuseWrongUse(options)
  await using history = await openHistory(context)
  const topic = brokersName(name, history)
  const ranges = await rangesOf(history.log, topic, options)
  const target = await targetOf(topic, options, history, context)
  const places = new Map(ranges.map(({ partition, from }) => [partition, from]))
  const total = ranges.reduce((sum, { from, to }) => sum + to - from, 0)
  const isToOutput = options.toTopic === undefined && options.toProjection === undefined
  // A bar among the lines that it is about helps nobody.
  const bar = progressBar(
    { ...context, showsProgress: context.showsProgress && !(isToOutput && context.isTerminal) },
    `${topic}  {bar} {percentage}%  {passed} records`,
    100,
    { passed: '0' },
  )
  const startedAt = context.now()
  const pace = pacer(options.rate, context)
  const isWanted = filterOf(options, history.codec)
  let more: Summary['more'] = {}
  let [passed, replayed] = [0, 0]
  try {
    for await (const { partition, records } of runsOf(history.log, topic, ranges, options, context.signal)) {
      for (let at = 0; at < records.length && !context.signal.aborted; at += pace.atOnce) {
        const some = records.slice(at, at + pace.atOnce)
        const wanted: WholeRecord[] = []
        for (const record of some) if (await isWanted(record)) wanted.push(record)
        await pace.wait(wanted.length)
        if (context.signal.aborted) break
        if (wanted.length > 0) await target.take(wanted, partition)
        replayed += wanted.length
        passed += some.length
        places.set(partition, some.at(-1)!.offset + 1)
      }
      bar.update((100 * passed) / Math.max(1, total), { passed: count(passed) })
      if (context.signal.aborted) break
    }
    const isComplete = !context.signal.aborted || options.follow === true
    if (isComplete) more = await target.end()
    bar.stop()
    const ms = context.now() - startedAt
    const out = { ...context, stdout: isToOutput ? context.stderr : context.stdout }
    printSummary(out, { topic, replayed, passed, ms, places, more }, options)
    if (!isComplete) throw interrupted(places)
  } catch (cause) {
    bar.stop()
    if (context.signal.aborted) throw interrupted(places, cause)
    context.stderr.write(`${goOn('to go on where it failed:', places)}\n`)
    throw cause
  }
  expectRepaired(failuresIn(more))
}

const interrupted = (places: ReadonlyMap<number, number>, cause?: unknown): EmbudoError =>
  new EmbudoError('interrupted', goOn('interrupted; to go on:', places), { cause })

const refuseWrongUse = (options: Options): void => {
  const wrong = (message: string) => new EmbudoError('wrong_use', message)
  if (options.toTopic !== undefined && options.toProjection !== undefined)
    throw wrong('--to-topic and --to-projection: one of them at a time')
  if (options.create && options.toTopic === undefined) throw wrong('--create goes with --to-topic')
  if (!options.follow) return
  if (options.to !== undefined || options.toOffset !== undefined)
    throw wrong('--follow never ends: leave out --to and --to-offset')
  if (options.toProjection !== undefined)
    throw wrong('--to-projection folds once what there is: leave out --follow')
}

/** `leads` and `embudo.leads` are the same. */
const brokersName = (name: string, { catalog, prefix }: OpenHistory): string =>
  catalog.topics.some((topic) => topic.name === name) ? topicName(prefix, { name }) : name

const targetOf = async (
  topic: string,
  options: Options,
  history: OpenHistory,
  context: CommandContext,
): Promise<Target> => {
  const { toTopic: copyName, toProjection: projectionName } = options
  if (copyName !== undefined) {
    const copy = brokersName(copyName, history)
    if (copy === topic) throw new EmbudoError('wrong_use', `${topic} cannot be copied to itself`)
    if (options.create) await createLike(history.log, topic, copy, context)
    return await toTopic(history.log, copy)
  }
  if (projectionName !== undefined) {
    const projection = history.projections.find((candidate) => candidate.name === projectionName)
    const itsTopic = projection !== undefined && 'topic' in projection ? projection.topic : undefined
    if (itsTopic === undefined || topicName(history.prefix, itsTopic) !== topic) {
      throw new EmbudoError('wrong_use', `no read model or tally of ${topic} is named ${projectionName}`)
    }
    return toProjection(projectionName, history, context)
  }
  return toOutput(topic, history.codec, context)
}

const createLike = async (log: Log, topic: string, copy: string, context: CommandContext): Promise<void> => {
  const { length } = await log.bounds(topic)
  const { EMBUDO_REPLICATION: replication } = context.config()
  await log.ensureTopics([
    { topic: copy, partitions: length, replication, settings: topicSettings(replication) },
  ])
}

async function* runsOf(
  log: Log,
  topic: string,
  ranges: readonly PartitionRange[],
  options: Options,
  signal: AbortSignal,
): AsyncGenerator<Run, void, void> {
  yield* readRanges(log, topic, ranges, signal)
  if (!options.follow || signal.aborted) return
  yield* follow(log, topic, new Map(ranges.map(({ partition, to }) => [partition, to])), signal)
}
