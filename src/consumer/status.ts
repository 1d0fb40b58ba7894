import type { Pool } from 'pg'
import type { PartitionOf } from './positions.ts'

export interface PartitionStatus extends PartitionOf {
  readonly state: 'starting' | 'running' | 'waiting' | 'failed'
  readonly error: string | undefined
}

/** For people to look at; nothing decides by it. */
export const reportStatus = async (pool: Pool, worker: string, status: PartitionStatus): Promise<void> => {
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
