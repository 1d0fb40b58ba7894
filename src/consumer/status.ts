import { setTimeout as delay } from 'node:timers/promises'
import type { Pool } from 'pg'
import type { PartitionOf } from './positions.ts'

export interface PartitionStatus extends PartitionOf {
  readonly state: 'starting' | 'running' | 'waiting' | 'failed'
  readonly error: string | undefined
}

/**
 * Writes down what becomes of a partition, for people to look at: nothing decides by it. The latest is tried again
 * until it is there, since a partition that has failed says so once.
 */
export const statusReports = (
  pool: Pool,
  worker: string,
  signal: AbortSignal,
  retryMs = 500,
): ((status: PartitionStatus) => void) => {
  let latest: PartitionStatus | undefined
  let isReporting = false
  const report = async (): Promise<void> => {
    isReporting = true
    while (latest !== undefined) {
      const told = latest
      try {
        await write(pool, worker, told)
        if (latest === told) latest = undefined
      } catch {
        await delay(retryMs, undefined, { signal }).catch(() => {})
        // Whoever has the partition then tells of it.
        if (signal.aborted) break
      }
    }
    isReporting = false
  }
  return (status) => {
    latest = status
    if (!isReporting) void report()
  }
}

const write = async (pool: Pool, worker: string, status: PartitionStatus): Promise<void> => {
  await pool.query(
    `insert into embudo.partition_status (reader, generation, topic, partition, worker, state, error)
     values ($1, $2, $3, $4, $5, $6, $7)
     on conflict (reader, generation, topic, partition)
     do update set worker = excluded.worker, state = excluded.state, error = excluded.error, at = now()`,
    [
      status.reader,
      status.generation,
      status.topic,
      status.partition,
      worker,
      status.state,
      status.error ?? null,
    ],
  )
}
