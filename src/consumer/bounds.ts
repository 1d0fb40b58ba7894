import { EmbudoError } from '../define/error.ts'
import type { Log, PartitionBounds } from '../log/port.ts'

/** Throws `partition_missing`. */
export const boundsOf = async (log: Log, topic: string, partition: number): Promise<PartitionBounds> => {
  const bounds = (await log.bounds(topic)).find((candidate) => candidate.partition === partition)
  if (bounds !== undefined) return bounds
  throw new EmbudoError('partition_missing', `${topic} has no partition ${partition}`, {
    facts: { topic, partition },
  })
}
