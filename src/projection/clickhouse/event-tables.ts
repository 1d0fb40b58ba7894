import type { ClickHouseClient } from '@clickhouse/client'
import type { Pool } from 'pg'
import type { Logger } from 'pino'
import { type PartitionStatus, startConsumer } from '../../consumer/consumer.ts'
import type { Feeds } from '../../consumer/feeds.ts'
import type { Membership } from '../../consumer/membership.ts'
import type { Catalog } from '../../define/catalog.ts'
import type { EventTablesDefinition } from '../../define/event-tables.ts'
import type { Codec } from '../../log/codec.ts'
import type { Log } from '../../log/port.ts'
import type { ObserveBatches } from '../../telemetry/observers.ts'
import { EventSink, type SinkLimits, type SinkStatus } from './sink.ts'
import { ensureEventTables, nameEventTables } from './tables.ts'

export interface EventTablesOptions {
  readonly definition: EventTablesDefinition
  readonly generation: number
  readonly catalog: Catalog
  readonly prefix: string
  readonly codec: Codec
  readonly log: Log
  readonly feeds: Feeds
  readonly pool: Pool
  readonly clickhouse: ClickHouseClient
  readonly membership: Membership
  readonly logger: Logger
  readonly observe?: ObserveBatches
  readonly now?: () => number
  readonly newId?: () => string
  readonly limits?: Partial<SinkLimits>
  /** Whether the plain names are to show this generation. Default true. */
  readonly isLive?: boolean
}

export interface EventTables extends AsyncDisposable {
  status(): { readonly partitions: readonly PartitionStatus[]; readonly sink: SinkStatus }
}

/** Keeps the tables of one generation up with every topic, in the partitions that this process owns. */
export const startEventTables = async (options: EventTablesOptions): Promise<EventTables> => {
  const { definition, generation, catalog, clickhouse } = options
  await ensureEventTables(clickhouse, catalog, generation)
  if (options.isLive !== false) await nameEventTables(clickhouse, catalog, generation)

  const sink = new EventSink(options)
  const consumer = await startConsumer(
    { reader: definition.name, generation, topics: catalog.topics, run: sink.run },
    options,
  )
  return {
    status: () => ({ partitions: consumer.status(), sink: sink.status() }),
    async [Symbol.asyncDispose]() {
      await consumer[Symbol.asyncDispose]()
      await sink[Symbol.asyncDispose]()
    },
  }
}
