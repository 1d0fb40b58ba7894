import { requests } from 'kafkajs/src/protocol/requests/index.js'
import { EmbudoError } from '../define/error.ts'
import type { Cluster } from './cluster.ts'
import { isRetriableKafkaError, KAFKA, kafkaErrorName } from './kafka-errors.ts'
import type { NextOffset } from './port.ts'

/**
 * Commits offsets as a member of no group, as Kafka's own tools do to set them: the broker takes them while the
 * group has no members, and ours never has any.
 */
export const commitOffsets = async (
  cluster: Cluster,
  group: string,
  offsets: readonly NextOffset[],
): Promise<void> => {
  if (offsets.length === 0) return
  const byTopic = Map.groupBy(offsets, ({ topic }) => topic)
  await cluster.refresh([...byTopic.keys()])
  const broker = await cluster.control(await coordinatorOf(cluster, group))
  const commit = requests.OffsetCommit.protocol({ version: 5 })
  const topics = [...byTopic].map(([topic, partitions]) => ({ topic, partitions }))
  const { responses } = await broker.call(
    commit({ groupId: group, groupGenerationId: NO_GENERATION, memberId: '', topics }),
  )
  for (const { topic, partitions } of responses) {
    for (const { partition, errorCode } of partitions) refuse(errorCode, `${topic}/${partition} of ${group}`)
  }
}

const coordinatorOf = async (cluster: Cluster, group: string): Promise<number> => {
  const broker = await cluster.anyBroker()
  const find = requests.GroupCoordinator.protocol({ version: 1 })
  const { errorCode, coordinator } = await broker.call(find({ groupId: group }))
  refuse(errorCode, group)
  return coordinator.nodeId
}

const refuse = (errorCode: number, what: string): void => {
  if (errorCode === KAFKA.none) return
  const retriable = isRetriableKafkaError(errorCode)
  throw new EmbudoError(
    retriable ? 'log_unavailable' : 'log_refused',
    `The offset of ${what} cannot be committed: ${kafkaErrorName(errorCode)}.`,
    { facts: { error: kafkaErrorName(errorCode) }, retriable },
  )
}

const NO_GENERATION = -1
