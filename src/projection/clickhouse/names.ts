import { setTimeout as sleep } from 'node:timers/promises'
import type { ClickHouseClient } from '@clickhouse/client'
import type { Pool } from 'pg'
import type { Logger } from 'pino'
import type { Catalog } from '../../define/catalog.ts'
import { messageOf } from '../../define/error.ts'
import type { Cluster } from './cluster.ts'
import { liveGeneration } from './live-tables.ts'
import { namedGeneration, nameEventTables } from './tables.ts'

export interface NamesParts {
  readonly pool: Pool
  readonly clickhouse: ClickHouseClient
  readonly catalog: Catalog
  readonly cluster?: Cluster | undefined
  readonly logger: Logger
}

/**
 * Points the plain names at a generation whenever that is the live one and they show another: after the transaction
 * that switched, whoever that was, and also when the process that did died right then. Embudo itself reads by the row
 * in Postgres, so this need not be at once.
 */
export const keepNames = (
  parts: NamesParts,
  projection: string,
  generation: number,
  everyMs = 1_000,
): AsyncDisposable => {
  const stopping = new AbortController()
  const { signal } = stopping

  const keep = async (): Promise<void> => {
    let isKept = true
    while (!signal.aborted) {
      try {
        if ((await liveGeneration(parts.pool, projection)) === generation) await pointNames(parts, generation)
        if (!isKept) parts.logger.info({ generation }, 'the names of the tables are looked after again')
        isKept = true
      } catch (error) {
        // Said once: ClickHouse may be away for hours.
        if (isKept)
          parts.logger.warn(
            { generation, error: messageOf(error) },
            'the names of the tables cannot be looked after',
          )
        isKept = false
      }
      await sleep(everyMs, undefined, { signal }).catch(() => {})
    }
  }
  const kept = keep()
  return {
    async [Symbol.asyncDispose]() {
      stopping.abort()
      await kept
    },
  }
}

export const pointNames = async (
  { clickhouse, catalog, cluster }: Omit<NamesParts, 'pool' | 'logger'>,
  generation: number,
): Promise<void> => {
  if ((await namedGeneration(clickhouse, catalog)) !== generation)
    await nameEventTables(clickhouse, catalog, generation, cluster)
}
