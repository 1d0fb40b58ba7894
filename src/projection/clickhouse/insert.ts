import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import type { ClickHouseClient, ClickHouseSettings, ExecParams } from '@clickhouse/client'
import type { Position } from '../../consumer/positions.ts'
import { type EventDefinition, topicName } from '../../define/catalog.ts'
import { clickhouseError } from './clickhouse-error.ts'
import { type Cluster, linearizable, oneAfterAnother } from './cluster.ts'
import {
  columnList,
  dataColumns,
  metadataColumns,
  quoted,
  subjectField,
  type TableColumn,
} from './columns.ts'
import { carriedColumns, containerOf, type Rows } from './container.ts'
import { fenceParameters, insertId, unfenced } from './fence.ts'
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
  const generation = positions[0]!.generation
  try {
    await oneAfterAnother(cluster, () =>
      sendContainer(clickhouse, container, {
        query:
          `INSERT INTO ${quoted(tableName(event.type, generation))} (${columnsOf(event)}) ` +
          `${rowsFromInput(event)} WHERE ${unfenced} FORMAT Avro`,
        query_id: insertId(positions, queryId),
        query_params: {
          ...fenceParameters(positions),
          type: event.type,
          log_topic: topicName(prefix, event.topic),
        },
        clickhouse_settings: {
          ...insertSettings,
          ...linearizable(cluster),
          insert_deduplication_token: tokenOf(event, parts),
        },
      }),
    )
  } catch (error) {
    throw clickhouseError(error, `insert ${event.type} events`)
  }
}

/** An insert whose rows are those of a container. */
export const sendContainer = async (
  clickhouse: ClickHouseClient,
  container: readonly Buffer[],
  insert: ExecParams,
): Promise<void> => {
  const values = Readable.from(container, { objectMode: false })
  const { stream } = await clickhouse.exec({ ...insert, values })
  await drained(stream)
}

/** Table and columns come from the catalogue and are quoted; all else is a parameter. */
const columnsOf = (event: EventDefinition): string => `${namesOf(event)}, _subject, _type, _topic`

/** The rows of a container, as `columnsOf` names them. */
export const rowsFromInput = (event: EventDefinition): string => {
  const subject = subjectField(event)
  const subjectSql = subject.nullable ? `ifNull(${quoted(subject.name)}, '')` : quoted(subject.name)
  return (
    `SELECT ${namesOf(event)}, ${subjectSql}, {type:String}, {log_topic:String} ` +
    `FROM input('${inSql(carried(event))}')`
  )
}

/** The same columns with their types, as a table function is told them. */
export const structureOf = (event: EventDefinition): string =>
  inSql([
    ...carried(event),
    ...['_subject', '_type', '_topic'].map((said) => metadataColumns.find(({ name }) => name === said)!),
  ])

const carried = (event: EventDefinition): TableColumn[] => [
  ...metadataColumns.filter(({ name }) => carriedColumns.includes(name)),
  ...dataColumns(event),
]

const namesOf = (event: EventDefinition): string =>
  carried(event)
    .map(({ name }) => quoted(name))
    .join(', ')

const inSql = (columns: readonly TableColumn[]): string => columnList(columns).replace(/[\\']/g, '\\$&')

// Everything that the guarantee leans on is said with the insert and not left to the server's defaults:
// one block for the whole container, written when it is complete, and an answer only after that.
const rowsPastAnyFlush = '16777216'
export const insertSettings: ClickHouseSettings = {
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
