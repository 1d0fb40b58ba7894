import {
  type ClickHouseClient,
  type ClickHouseClientConfigOptions,
  ClickHouseLogLevel,
  createClient,
} from '@clickhouse/client'

/** A machine that stands still is no reason to give up a request, as the client's own 30 s would. */
export const clickhouseClient = (options: ClickHouseClientConfigOptions): ClickHouseClient =>
  // It warns of long patience, for the sake of proxies that have less.
  createClient({ request_timeout: 240_000, log: { level: ClickHouseLogLevel.ERROR }, ...options })
