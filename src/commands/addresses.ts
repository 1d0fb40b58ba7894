import type { Config } from '../config.ts'
import { readRunFile } from '../run-file.ts'
import { isRunning } from './processes.ts'

/** Where the parts are: as configured, else where `up` runs them on this data folder. */
export interface Addresses {
  readonly kafka: string | undefined
  readonly registry: string | undefined
  readonly postgres: string | undefined
  readonly clickhouse: string | undefined
}

export const addressesOf = (config: Config): Addresses => {
  const found = readRunFile(config.dataDir)
  const run = found !== undefined && isRunning(found) ? found : undefined
  return {
    kafka: config.KAFKA_BROKERS ?? run?.kafka,
    registry: config.SCHEMA_REGISTRY_URL ?? run?.registry,
    postgres: config.DATABASE_URL ?? run?.postgres,
    clickhouse: config.CLICKHOUSE_URL ?? run?.clickhouse,
  }
}

export const registryAuth = (config: Config): { username: string; password: string } | undefined =>
  config.SCHEMA_REGISTRY_USERNAME === undefined
    ? undefined
    : { username: config.SCHEMA_REGISTRY_USERNAME, password: config.SCHEMA_REGISTRY_PASSWORD ?? '' }
