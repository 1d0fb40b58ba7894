import { randomUUID } from 'node:crypto'
import type { ClickHouseClient } from '@clickhouse/client'
import { type EventDefinition, topicName } from '../../define/catalog.ts'
import { EmbudoError, messageOf } from '../../define/error.ts'
import { clickhouseError, isOfData } from './clickhouse-error.ts'
import { containerOf } from './container.ts'
import { guiltyOf } from './guilty.ts'
import { type Insert, insertSettings, rowsFromInput, sendContainer, structureOf } from './insert.ts'
import type { RefusedRows } from './refused-rows.ts'
import { placesOf, type RowPlace } from './row-places.ts'

export interface TrialParts {
  readonly clickhouse: ClickHouseClient
  readonly prefix: string
  readonly refused: RefusedRows
  readonly signal: AbortSignal
}

/**
 * After ClickHouse has refused an insert over its data: which rows it refuses by themselves, told by inserts of the
 * same rows that write nothing. These need no fence, and change nothing. Notes none where it cannot be told.
 */
export const noteRefused = async (
  { event, parts: insertParts }: Insert,
  parts: TrialParts,
): Promise<void> => {
  const suspects = insertParts.flatMap(({ position, rows }) =>
    placesOf(rows, event.current.schema).map((row) => ({ position, row })),
  )
  const guilty = await guiltyOf(suspects, (some) =>
    refusalOf(
      event,
      some.map(({ row }) => row),
      parts,
    ),
  )
  for (const [{ position, row }, reason] of guilty)
    parts.refused.note(position, row.offset, row.bytes.subarray(row.payloadAt), reason)
}

/** What ClickHouse says of them; undefined where it takes them. Throws what says nothing about them. */
const refusalOf = async (
  event: EventDefinition,
  rows: readonly RowPlace[],
  { clickhouse, prefix, signal }: TrialParts,
): Promise<string | undefined> => {
  if (signal.aborted) throw new EmbudoError('stopped', 'the sink stops', { retriable: true })
  const bytes = Buffer.concat(rows.map((row) => row.bytes))
  const container = containerOf(event.current.schema, [
    { count: rows.length, byteLength: bytes.length, bytes: () => bytes },
  ])
  try {
    await sendContainer(clickhouse, container, {
      query: `INSERT INTO FUNCTION null('${structureOf(event)}') ${rowsFromInput(event)} FORMAT Avro`,
      query_id: randomUUID(),
      query_params: { type: event.type, log_topic: topicName(prefix, event.topic) },
      clickhouse_settings: insertSettings,
    })
    return undefined
  } catch (cause) {
    const error = clickhouseError(cause, `take ${rows.length} ${event.type} events on trial`)
    if (isOfData(error)) return messageOf(cause)
    throw error
  }
}
