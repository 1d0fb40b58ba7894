import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import type { ClickHouseClient, ClickHouseSettings } from '@clickhouse/client'
import type { Position } from '../../consumer/positions.ts'
import { type EventDefinition, topicName } from '../../define/catalog.ts'
import { clickhouseError } from './clickhouse-error.ts'
import { type Cluster, linearizable, oneAfterAnother } from './cluster.ts'
import { columnList, dataColumns, metadataColumns, quoted, subjectField } from './columns.ts'
import { carriedColumns, containerOf, type Rows } from './container.ts'
import { fenceParameters, insertsOf, unfenced } from './fence.ts'
import { tableName } from './tables.ts'

/** The rows of one event type in a flush: one insert, one container, one block, all or nothing. */
export interface Insert {
  readonly event: EventDefinition
  readonly parts: readonly InsertPart[]
}

export interface InsertPart {
  readonly position: Position
  readonly rows: Rows
}

/** Throws where the outcome is not known to be good: a look then tells. A fenced insert writes nothing and returns. */
export const sendInsert = async (
  clickhouse: ClickHouseClient,
  { event, parts }: Insert,
  {
    prefix,
    queryId,
    cluster,
  }: { readonly prefix: string; readonly queryId: string; readonly cluster?: Cluster | undefined },
): Promise<void> => {
  const positions = parts.map((part) => part.position)
  const container = containerOf(
    event.current.schema,
    parts.map((part) => part.rows),
  )
  try {
    await oneAfterAnother(cluster, async () => {
      const { stream } = await clickhouse.exec({
        query: statementOf(event, positions[0]!.generation),
        values: Readable.from(container, { objectMode: false }),
        query_id: insertsOf(positions[0]!) + queryId,
        query_params: {
          ...fenceParameters(positions),
          type: event.type,
          log_topic: topicName(prefix, event.topic),
        },
        clickhouse_settings: {
          ...settings,
          ...linearizable(cluster),
          insert_deduplication_token: tokenOf(event, parts),
        },
      })
      await drained(stream)
    })
  } catch (error) {
    throw clickhouseError(error, `insert ${event.type} events`)
  }
}

/** Table and columns come from the catalogue and are quoted; all else is a parameter. */
const statementOf = (event: EventDefinition, generation: number): string => {
  const carried = metadataColumns.filter(({ name }) => carriedColumns.includes(name))
  const data = dataColumns(event)
  const names = [...carried, ...data].map(({ name }) => quoted(name)).join(', ')
  const subject = subjectField(event)
  const subjectSql = subject.nullable ? `ifNull(${quoted(subject.name)}, '')` : quoted(subject.name)
  const structure = columnList([...carried, ...data]).replace(/[\\']/g, '\\$&')
  return (
    `INSERT INTO ${quoted(tableName(event.type, generation))} (${names}, _subject, _type, _topic) ` +
    `SELECT ${names}, ${subjectSql}, {type:String}, {log_topic:String} FROM input('${structure}') ` +
    `WHERE ${unfenced} FORMAT Avro`
  )
}

// Everything that the guarantee leans on is said with the insert and not left to the server's defaults:
// one block for the whole container, written when it is complete, and an answer only after that.
const rowsPastAnyFlush = '16777216'
const settings: ClickHouseSettings = {
  async_insert: 0,
  wait_end_of_query: 1,
  max_insert_block_size: rowsPastAnyFlush,
  max_block_size: rowsPastAnyFlush,
  min_insert_block_size_rows: rowsPastAnyFlush,
  min_insert_block_size_bytes: '0',
  max_insert_threads: '1',
  max_threads: 1,
  insert_deduplicate: 1,
  deduplicate_blocks_in_dependent_materialized_views: 1,
  input_format_avro_allow_missing_fields: 0,
  max_execution_time: 60,
}

/**
 * One more lock against what sends a request twice behind our back, such as a proxy. The epochs are part of it:
 * what a look under a later epoch has found missing must not be dropped as sent before.
 */
const tokenOf = (event: EventDefinition, parts: readonly InsertPart[]): string => {
  const ranges = parts.map(({ position: { topic, partition, epoch }, rows }) =>
    [topic, partition, epoch, rows.firstOffset, rows.lastOffset, rows.count].join(':'),
  )
  const { reader, generation } = parts[0]!.position
  return createHash('sha256')
    .update([reader, generation, event.type, event.current.version, ...ranges].join('\n'))
    .digest('hex')
}

const drained = async (stream: AsyncIterable<unknown>): Promise<void> => {
  for await (const _ of stream);
}
