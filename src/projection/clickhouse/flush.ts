import { randomUUID } from 'node:crypto'
import type { ClickHouseClient } from '@clickhouse/client'
import type { Pool } from 'pg'
import { movePositions, type Position } from '../../consumer/positions.ts'
import { parkLetters } from '../../dead-letter/letters.ts'
import { settleLetters } from '../../dead-letter/retrying.ts'
import type { EventDefinition } from '../../define/catalog.ts'
import { transaction } from '../../postgres/transaction.ts'
import { isOfData } from './clickhouse-error.ts'
import type { Cluster } from './cluster.ts'
import { type Insert, type InsertPart, sendInsert } from './insert.ts'
import type { Taken } from './lane.ts'
import type { RefusedRows } from './refused-rows.ts'
import { noteRefused } from './trial.ts'

export interface FlushParts {
  readonly clickhouse: ClickHouseClient
  readonly pool: Pool
  readonly prefix: string
  readonly cluster?: Cluster | undefined
  readonly newId?: () => string
}

export interface FlushMemory {
  readonly refused: RefusedRows
  /** Ends a trial early. */
  readonly signal: AbortSignal
}

/**
 * Rows first, then the positions and dead letters of all partitions in one transaction. Between the two, and when either fails,
 * what the tables hold is ahead of the positions; the look at the next take-over finds it. Rows that ClickHouse can
 * never take are noted before it fails. Answers what was taken with the positions as they stand after.
 */
export const flush = async (
  taken: readonly Taken[],
  parts: FlushParts,
  memory: FlushMemory,
): Promise<Taken[]> => {
  const newId = parts.newId ?? randomUUID
  const inserts = planInserts(taken)
  const sent = inserts.map((insert) => sendInsert(parts.clickhouse, insert, { ...parts, queryId: newId() }))
  // All of them, even if one has failed: the partitions are not taken over again while others still run.
  const outcomes = await Promise.allSettled(sent)
  const failed = outcomes.filter((outcome) => outcome.status === 'rejected')
  if (failed.length === 0) return moveAll(parts.pool, taken)
  for (const [index, outcome] of outcomes.entries()) {
    // Where the trial itself fails, nothing is known of the rows, and what the insert said stands.
    if (outcome.status === 'rejected' && isOfData(outcome.reason))
      await noteRefused(inserts[index]!, { ...parts, ...memory }).catch(() => {})
  }
  throw failed[0]!.reason
}

/** One insert for each event type, over all partitions. */
export const planInserts = (taken: readonly Taken[]): Insert[] => {
  const byEvent = new Map<EventDefinition, InsertPart[]>()
  for (const { position, rows: byType } of taken) {
    for (const [event, rows] of byType) {
      if (rows.count === 0) continue
      const parts = byEvent.get(event) ?? []
      parts.push({ position, rows })
      byEvent.set(event, parts)
    }
  }
  return [...byEvent].map(([event, parts]) => ({ event, parts }))
}

/** May be lost with Postgres's tail: the look finds the rows behind an older position too. */
const moveAll = (pool: Pool, taken: readonly Taken[]): Promise<Taken[]> =>
  transaction(
    pool,
    async (client) => {
      // In one order everywhere, so that two flushes that overlap wait for each other and do not deadlock.
      const parts = taken.toSorted((a, b) => compare(a.position, b.position))
      const positions = await movePositions(client, parts)
      for (const { position, parked, settled } of parts) {
        await parkLetters(client, position, parked)
        await settleLetters(client, settled)
      }
      return parts.map((part, index) => ({ ...part, position: positions[index]! }))
    },
    'off',
  )

const compare = (a: Position, b: Position): number =>
  a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1
