import { requests } from 'kafkajs/src/protocol/requests/index.js'
import { EmbudoError, isRetriable } from '../define/error.ts'
import { type Patience, type Pause, patiently } from '../define/patiently.ts'
import type { Cluster } from './cluster.ts'
import { KAFKA, kafkaErrorName } from './kafka-errors.ts'
import type { PartitionBounds, PartitionOffset, TopicSpec } from './port.ts'

/** Creates the topics that are missing, and compares the partitions of all with what was asked for. */
export async function ensureTopics(
  cluster: Cluster,
  specs: readonly TopicSpec[],
  pause: Pause,
): Promise<void> {
  if (specs.length === 0) return
  const topics = specs.map((spec) => spec.topic)
  const refresh = () => patiently(pause, patience, () => cluster.refresh(topics))
  await refresh()
  const missing = specs.filter((spec) => cluster.partitionsOf(spec.topic) === 0)
  if (missing.length > 0) {
    await patiently(pause, patience, () => createTopics(cluster, missing))
    // A topic is made before its leaders know that they lead it.
    for (const { topic } of missing) await patiently(pause, untilMade, () => askBounds(cluster, topic))
    await refresh()
  }
  for (const { topic, partitions } of specs) {
    const found = cluster.partitionsOf(topic)
    if (found === partitions) continue
    throw new EmbudoError(
      'partitions_differ',
      `The topic ${topic} has ${found} partitions, but ${partitions} are asked for. The number is fixed when a topic is made, since keys would move: ask for ${found}, or move to a new topic.`,
      { facts: { topic, expected: partitions, found } },
    )
  }
}

/**
 * Where each partition of the topic begins and ends. Waits for leaders that move or come up for some seconds.
 * Throws `topic_unknown`, or what keeps the brokers from answering.
 */
export const boundsOf = (cluster: Cluster, topic: string, pause: Pause): Promise<PartitionBounds[]> =>
  patiently(pause, patienceWithTopics, () => askBounds(cluster, topic))

const askBounds = async (cluster: Cluster, topic: string): Promise<PartitionBounds[]> =>
  (await askOffsets(cluster, topic, [EARLIEST, LATEST])).map(([partition, [start, end]]) => ({
    partition,
    start: start!,
    end: end!,
  }))

/** Of each partition, the first offset that was appended at that time or later, or its end. */
export const offsetsAt = (
  cluster: Cluster,
  topic: string,
  time: number,
  pause: Pause,
): Promise<PartitionOffset[]> =>
  patiently(pause, patienceWithTopics, async () =>
    (await askOffsets(cluster, topic, [time, LATEST])).map(([partition, [found, end]]) => ({
      partition,
      offset: found === NONE ? end! : found!,
    })),
  )

/** By partition, its offset at each of the timestamps. */
async function askOffsets(
  cluster: Cluster,
  topic: string,
  timestamps: readonly number[],
): Promise<(readonly [partition: number, offsets: readonly number[]])[]> {
  await cluster.refresh([topic])
  const count = cluster.partitionsOf(topic)
  if (count === 0) throw new EmbudoError('topic_unknown', `There is no topic ${topic}.`, { facts: { topic } })
  const byLeader = Map.groupBy(Array(count).keys(), (partition) => cluster.leaderOf(topic, partition))
  const found = await Promise.all(
    [...byLeader].map(async ([leader, partitions]) => {
      if (typeof leader !== 'number') throw noLeader(topic, partitions)
      const answers = await Promise.all(
        timestamps.map((timestamp) => listOffsets(cluster, leader, topic, partitions, timestamp)),
      )
      return partitions.map(
        (partition) => [partition, answers.map((offsets) => offsets.get(partition)!)] as const,
      )
    }),
  )
  return found.flat().sort(([one], [other]) => one - other)
}

async function createTopics(cluster: Cluster, specs: readonly TopicSpec[]): Promise<void> {
  const controller = await cluster.controller()
  const create = requests.CreateTopics.protocol({ version: 3 })
  const topics = specs.map(({ topic, partitions, replication, settings }) => ({
    topic,
    numPartitions: partitions,
    replicationFactor: replication,
    configEntries: Object.entries(settings).map(([name, value]) => ({ name, value })),
  }))
  const { topicErrors } = await controller.call(create({ topics, timeout: 10_000 }))
  for (const { topic, errorCode, errorMessage } of topicErrors) {
    // Another process was faster: the partitions are compared afterwards either way.
    if (errorCode === KAFKA.none || errorCode === KAFKA.topicAlreadyExists) continue
    const name = kafkaErrorName(errorCode)
    throw new EmbudoError(
      'topic_not_created',
      `The topic ${topic} cannot be created: ${name}${errorMessage ? `, ${errorMessage}` : ''}`,
      { facts: { topic, error: name }, retriable: errorCode === KAFKA.notController },
    )
  }
}

async function listOffsets(
  cluster: Cluster,
  leader: number,
  topic: string,
  partitions: readonly number[],
  timestamp: number,
): Promise<Map<number, number>> {
  const broker = await cluster.control(leader)
  const ask = requests.ListOffsets.protocol({ version: 3 })
  const wanted = [{ topic, partitions: partitions.map((partition) => ({ partition, timestamp })) }]
  const { responses } = await broker.call(ask({ replicaId: -1, isolationLevel: 0, topics: wanted }))
  const found = new Map<number, number>()
  for (const { partition, errorCode, offset } of responses.flatMap((each) => each.partitions)) {
    if (errorCode !== KAFKA.none) {
      const message = `The bounds of ${topic}/${partition} are not known: ${kafkaErrorName(errorCode)}.`
      throw new EmbudoError('log_unavailable', message, { facts: { topic, partition }, retriable: true })
    }
    found.set(partition, Number(offset))
  }
  return found
}

const noLeader = (topic: string, partitions: readonly number[]): EmbudoError =>
  new EmbudoError('log_unavailable', `${topic} has no leader for the partitions ${partitions.join(', ')}.`, {
    facts: { topic, partitions },
    retriable: true,
  })

const patience: Patience = { attempts: 30 }

/** A topic that was just made may not be known to every broker. */
const patienceWithTopics: Patience = {
  ...patience,
  mayPass: (error, attempt) => isRetriable(error) || attempt <= 5,
}

/** Of a cluster that has just come up, each broker hears of a topic in its own time. */
const untilMade: Patience = { attempts: 100, mayPass: () => true }

const LATEST = -1
const EARLIEST = -2
/** The answer where no record is that young. */
const NONE = -1
