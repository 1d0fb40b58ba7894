import { topicName } from '../define/catalog.ts'
import { EmbudoError } from '../define/error.ts'
import type { Log, PartitionBounds } from '../log/port.ts'
import type { AddCommand, CommandContext } from './context.ts'
import { openLog } from './open-log.ts'
import { jsonOption } from './options.ts'
import { coloursOf, count, printJson, printTable } from './output.ts'
import { readTopics } from './schemas-folder.ts'

export const topicsCommand: AddCommand = (program, context) => {
  program
    .command('topics')
    .description('what is in the log: topics, partitions and records, asked of Kafka itself')
    .addOption(jsonOption())
    .action(async ({ json }: { json?: true }) => await topics(json === true, context))
}

const topics = async (asJson: boolean, context: CommandContext): Promise<void> => {
  const config = context.config()
  const definitions = await readTopics(context)
  await using log = await openLog(config)
  const items = await Promise.all(
    definitions.map(async (definition) => {
      const topic = topicName(config.EMBUDO_TOPIC_PREFIX, definition)
      const partitions = await boundsOrNone(log, topic)
      return {
        topic,
        key: definition.subject,
        exists: partitions !== undefined,
        records: recordsIn(partitions ?? []),
        partitions: partitions ?? [],
      }
    }),
  )
  if (asJson) return printJson(context, { items })
  const { yellow, dim } = coloursOf(context.isTerminal)
  printTable(
    context,
    [
      { title: 'topic' },
      { title: 'key' },
      { title: 'partitions', align: 'right' },
      { title: 'records', align: 'right' },
      { title: 'from..to of each partition' },
    ],
    items.map(({ topic, key, exists, records, partitions }) =>
      exists
        ? [
            topic,
            key,
            String(partitions.length),
            count(records),
            dim(partitions.map(({ start, end }) => `${start}..${end}`).join('  ')),
          ]
        : [topic, key, '-', '-', yellow('not there yet; `embudo up` or `start` makes it')],
    ),
  )
}

const boundsOrNone = async (log: Log, topic: string): Promise<PartitionBounds[] | undefined> => {
  try {
    return await log.bounds(topic)
  } catch (error) {
    if (error instanceof EmbudoError && error.code === 'topic_unknown') return undefined
    throw error
  }
}

const recordsIn = (partitions: readonly PartitionBounds[]): number =>
  partitions.reduce((sum, { start, end }) => sum + end - start, 0)
