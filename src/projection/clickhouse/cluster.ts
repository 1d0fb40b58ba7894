import { setTimeout as sleep } from 'node:timers/promises'
import type { ClickHouseSettings } from '@clickhouse/client'
import { type Patience, patiently } from '../../define/patiently.ts'
import { quoted } from './columns.ts'

/** A cluster of ClickHouse whose replicas hold the tables: one shard. Without one, tables are on the one server. */
export interface Cluster {
  /** As the server's `remote_servers` names it. */
  readonly name: string
  /** Of a table in Keeper, with the server's macros: `/clickhouse/tables/{shard}/{database}/{table}`. */
  readonly path: string
}

export const clusterAt = (name: string | undefined, path: string): Cluster | undefined =>
  name === undefined ? undefined : { name, path }

export const onCluster = (cluster: Cluster | undefined): string =>
  cluster === undefined ? '' : ` ON CLUSTER ${quoted(cluster.name)}`

export const engineOf = (
  cluster: Cluster | undefined,
  engine: 'MergeTree' | 'ReplacingMergeTree',
  ...columns: readonly string[]
): string => {
  if (cluster === undefined) return `${engine}(${columns.join(', ')})`
  const replicated = [`'${cluster.path.replace(/[\\']/g, '\\$&')}'`, "'{replica}'", ...columns]
  return `Replicated${engine}(${replicated.join(', ')})`
}

/** Blocks that a table remembers. Only one more lock: see docs/clickhouse.md. */
export const deduplicationWindow = (cluster: Cluster | undefined): string =>
  cluster === undefined
    ? 'non_replicated_deduplication_window = 1000'
    : 'replicated_deduplication_window = 1000, replicated_deduplication_window_seconds = 604800'

/**
 * Of every statement that writes or reads what the guarantee leans on. A write is acknowledged once most replicas
 * have it, and a read refuses to answer from a replica that lacks any such write: so the fence that an insert reads,
 * and the rows that a look finds, are the last ones whichever replica is asked. ClickHouse promises that for quorum
 * writes that are not parallel alone.
 */
export const linearizable = (cluster: Cluster | undefined): ClickHouseSettings =>
  cluster === undefined
    ? {}
    : { insert_quorum: 'auto', insert_quorum_parallel: 0, select_sequential_consistency: '1' }

/** What runs on any replica. Fails while one of them cannot be asked: what it runs is not known then. */
export const processesOf = (cluster: Cluster | undefined): string =>
  cluster === undefined
    ? 'system.processes'
    : `clusterAllReplicas('${cluster.name.replace(/[\\']/g, '\\$&')}', system.processes)`

/**
 * Quorum writes that are not parallel are refused, before anything of them is written, while another into the same
 * table waits for its replicas: then this one is sent again in a moment.
 */
export const oneAfterAnother = <Answer>(
  cluster: Cluster | undefined,
  write: () => Promise<Answer>,
): Promise<Answer> => (cluster === undefined ? write() : patiently(sleep, whileQuorumIsBusy, write))

const whileQuorumIsBusy: Patience = {
  attempts: 100,
  mayPass: (error) => (error as { code?: unknown } | null)?.code === quorumIsBusy,
}

/** ClickHouse's UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE. */
const quorumIsBusy = '286'
