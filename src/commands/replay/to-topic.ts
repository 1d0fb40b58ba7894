import { EmbudoError } from '../../define/error.ts'
import { type Log, partitionFor, type WholeRecord } from '../../log/port.ts'
import type { Target } from './target.ts'

/** Copies records as they are, each to the partition that its key has there. */
export const toTopic = async (log: Log, topic: string): Promise<Target> => {
  const { length: partitions } = await log.bounds(topic)

  const copy = async (records: readonly WholeRecord[], partition: number): Promise<void> => {
    const outcomes = await log.append(
      records.map((record) => ({
        topic,
        partition: record.key === null ? partition % partitions : partitionFor(record.key, partitions),
        body: record.body(),
      })),
    )
    const failure = outcomes.find((outcome) => 'failed' in outcome)
    if (failure !== undefined)
      throw new EmbudoError(failure.code, failure.detail, { retriable: failure.retriable })
  }

  return {
    async take(records, partition) {
      let bytes = 0
      let from = 0
      for (const [index, record] of records.entries()) {
        bytes += (record.key?.length ?? 0) + (record.value?.length ?? 0)
        if (bytes < appendBytes && index < records.length - 1) continue
        await copy(records.slice(from, index + 1), partition)
        from = index + 1
        bytes = 0
      }
    },
    end: async () => ({}),
  }
}

const appendBytes = 1024 * 1024
