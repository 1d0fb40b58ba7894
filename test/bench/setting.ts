import { Kafka, logLevel } from 'kafkajs'
import { type KafkaTools, kafkaTools } from './kafka-tools.ts'
import type { BenchParts } from './parts.ts'
import { type Serving, startProcess } from './product.ts'
import { runTask } from './task.ts'
import type { AppendInput, AppendResult } from './tasks/append.ts'
import { workload } from './workload.ts'

export interface Size {
  readonly rounds: number
  readonly warmUpMs: number
  readonly measureMs: number
  /** Shorter than a rebuild of `records` takes. */
  readonly steadyMs: number
  /** What the log's own measures append and fetch in a round. */
  readonly logRecords: number
  /** What readers go through. */
  readonly records: number
  readonly readableMs: number
}

export const sizes = {
  full: {
    rounds: 3,
    warmUpMs: 1_000,
    measureMs: 4_000,
    steadyMs: 3_000,
    logRecords: 500_000,
    records: 1_000_000,
    readableMs: 20_000,
  },
  quick: {
    rounds: 1,
    warmUpMs: 1_000,
    measureMs: 2_500,
    steadyMs: 1_000,
    logRecords: 200_000,
    records: 150_000,
    readableMs: 4_000,
  },
} as const satisfies Record<string, Size>

/** What every measure needs: the parts, the program's HTTP process, and a topic of its own for each baseline. */
export interface Setting extends AsyncDisposable {
  readonly parts: BenchParts
  readonly size: Size
  /** Whether workers are to be profiled, which costs them some of their speed. */
  readonly isProfiled: boolean
  readonly http: Serving
  readonly tools: KafkaTools
  readonly brokers: readonly string[]
  readonly schemaId: number
  /** The program's topic of leads, with its number of partitions, which baselines get too. */
  readonly leads: string
  readonly partitions: number
  progress(text: string): void
  /** 1, 2, ... as many as the size asks for, fewer where the next would not fit into the time: a busy machine. */
  rounds(what: string, budgetMs: number): Iterable<number>
  newTopic(name: string): Promise<string>
  /** Sees to it that the leads topic holds enough for readers, and tells how much it holds. */
  fill(): Promise<number>
}

export const startSetting = async (
  parts: BenchParts,
  { size, isProfiled }: Pick<Setting, 'size' | 'isProfiled'>,
  progress: (text: string) => void,
): Promise<Setting> => {
  await using stack = new AsyncDisposableStack()
  const brokers = parts.addresses.kafkaBrokers.split(',')
  const tools = await kafkaTools(parts.addresses.kafkaBrokers, parts.environment)
  progress('starting the HTTP process')
  const http = stack.use(await startProcess('http', parts))

  const admin = new Kafka({ brokers, clientId: 'bench', logLevel: logLevel.NOTHING }).admin()
  await admin.connect()
  stack.defer(async () => {
    const topics = await admin.listTopics()
    await admin.deleteTopics({ topics: topics.filter((topic) => topic.startsWith(parts.prefix)) })
    await admin.disconnect()
  })
  const leads = `${parts.prefix}leads`
  const partitions = (await admin.fetchTopicMetadata({ topics: [leads] })).topics[0]!.partitions.length
  const schemaId = await schemaIdOf(parts.addresses.registryUrl, `${leads}-embudo.leads.${workload.type}`)
  const recordsIn = async (topic: string): Promise<number> =>
    (await admin.fetchTopicOffsets(topic)).reduce((sum, { high }) => sum + Number(high), 0)

  const toEnd = stack.move()
  return {
    parts,
    size,
    isProfiled,
    http,
    tools,
    brokers,
    schemaId,
    leads,
    partitions,
    progress,
    *rounds(what, budgetMs) {
      const startedAt = performance.now()
      for (let round = 1; round <= size.rounds; round++) {
        const elapsedMs = performance.now() - startedAt
        if (round > 1 && (elapsedMs * round) / (round - 1) > budgetMs) return
        progress(`${what}, round ${round} of ${size.rounds}`)
        yield round
      }
    },
    async newTopic(name) {
      const topic = `${parts.prefix}${name}`
      await admin.createTopics({
        waitForLeaders: true,
        topics: [{ topic, numPartitions: partitions, replicationFactor: 1 }],
      })
      return topic
    },
    async fill() {
      const missing = size.records - (await recordsIn(leads))
      if (missing > 0) {
        const input = { brokers, topic: leads, partitions, schemaId, records: missing }
        await runTask<AppendInput, AppendResult>('append', input)
      }
      return await recordsIn(leads)
    },
    [Symbol.asyncDispose]: () => toEnd.disposeAsync(),
  }
}

const schemaIdOf = async (registryUrl: string, subject: string): Promise<number> => {
  const response = await fetch(`${registryUrl}/subjects/${encodeURIComponent(subject)}/versions/latest`)
  const { id } = (await response.json()) as { id?: number }
  if (id === undefined) throw new Error(`the registry knows no ${subject}`)
  return id
}
