import type { ClickHouseClient } from '@clickhouse/client'
import type { Pool } from 'pg'
import { readPositions } from '../../consumer/positions.ts'
import { type Catalog, type EventDefinition, sendable, topicName } from '../../define/catalog.ts'
import type { Comparison, Difference } from '../generation-kind.ts'
import { clickhouseError } from './clickhouse-error.ts'
import { type Cluster, linearizable } from './cluster.ts'
import { dataColumns, metadataColumns, quoted } from './columns.ts'
import { tableName } from './tables.ts'

export interface CompareParts {
  readonly clickhouse: ClickHouseClient
  readonly pool: Pool
  readonly catalog: Catalog
  readonly prefix: string
  readonly cluster?: Cluster | undefined
}

export interface Compared {
  readonly reader: string
  readonly live: number
  readonly other: number
}

const mostExamples = 20

/** So many offsets are told apart at once, whatever a partition holds. */
const chunkOffsets = 65_536

/**
 * Counts and checksums over all columns, by event type and partition, of the rows before the smaller of both
 * positions; where they differ, the same by ranges of offsets, and there by offset. What it holds in memory does not
 * grow with the tables.
 */
export const compareEventTables = async (
  parts: CompareParts,
  compared: Compared,
  signal: AbortSignal,
): Promise<Comparison> => {
  const ends = await commonEnds(parts, compared)
  let [rows, differences] = [0, 0]
  const examples: Difference[] = []
  for (const event of sendable(parts.catalog).events.values()) {
    const topic = topicName(parts.prefix, event.topic)
    const tables = { parts, compared, event, topic, ends: ends.get(topic) ?? [], signal }
    for (const partition of await sums(tables, '_partition', {})) {
      rows += partition.liveRows
      if (isSame(partition)) continue
      const chunks = await sums(tables, `intDiv(_offset, ${chunkOffsets})`, { partition: partition.key })
      for (const chunk of chunks.filter(differs)) {
        const within = { partition: partition.key, from: chunk.key * chunkOffsets }
        const offsets = (await sums(tables, '_offset', within)).filter(differs)
        differences += offsets.length
        const wanted = offsets.slice(0, mostExamples - examples.length).map(({ key }) => key)
        if (wanted.length > 0) examples.push(...(await differencesAt(tables, partition.key, wanted)))
      }
    }
  }
  return { rows, differences, examples }
}

interface Tables {
  readonly parts: CompareParts
  readonly compared: Compared
  readonly event: EventDefinition
  readonly topic: string
  /** By partition. */
  readonly ends: readonly number[]
  readonly signal: AbortSignal
}

interface Sums {
  readonly key: number
  readonly liveRows: number
  readonly otherRows: number
  readonly liveSum: string
  readonly otherSum: string
}

const isSame = (sum: Sums): boolean => sum.liveRows === sum.otherRows && sum.liveSum === sum.otherSum
const differs = (sum: Sums): boolean => !isSame(sum)

/** Each partition's smaller position, by topic. A partition that one of them has not begun is not compared. */
const commonEnds = async (
  { pool }: CompareParts,
  { reader, live, other }: Compared,
): Promise<Map<string, number[]>> => {
  const [some, others] = await Promise.all([
    readPositions(pool, reader, live),
    readPositions(pool, reader, other),
  ])
  const ends = new Map<string, number[]>()
  for (const { topic, partition, nextOffset } of some) {
    const found = others.find((it) => it.topic === topic && it.partition === partition)
    const ofTopic = ends.get(topic) ?? []
    ofTopic[partition] = Math.min(nextOffset, found?.nextOffset ?? 0)
    ends.set(topic, ofTopic)
  }
  return new Map([...ends].map(([topic, byPartition]) => [topic, Array.from(byPartition, (end) => end ?? 0)]))
}

/** Sums of hashes: the order of rows plays no part, and a row that is there twice does. */
const sums = async (
  tables: Tables,
  key: string,
  within: { readonly partition?: number; readonly from?: number },
): Promise<Sums[]> => {
  const { event, compared } = tables
  // Within a tuple, since the hash of a bare null is null.
  const hash = `cityHash64(tuple(${namesOf(event).join(', ')}))`
  const side = (generation: number, isLive: 0 | 1): string =>
    `SELECT ${key} AS key, ${isLive} AS live, ${hash} AS hash FROM ${quoted(tableName(event.type, generation))} ` +
    'WHERE _topic = {topic:String} AND _offset < {ends:Array(UInt64)}[_partition + 1]' +
    (within.partition === undefined ? '' : ' AND _partition = {partition:UInt32}') +
    (within.from === undefined ? '' : ' AND _offset >= {from:UInt64} AND _offset < {to:UInt64}')
  const rows = await ask<Record<keyof Sums, string>>(
    tables,
    'SELECT toString(key) AS key, toString(countIf(live = 1)) AS liveRows, toString(countIf(live = 0)) AS otherRows, ' +
      'toString(sumIf(hash, live = 1)) AS liveSum, toString(sumIf(hash, live = 0)) AS otherSum ' +
      `FROM (${side(compared.live, 1)} UNION ALL ${side(compared.other, 0)}) GROUP BY key ORDER BY toUInt64(key)`,
    {
      ...within,
      ...(within.from === undefined ? {} : { to: within.from + chunkOffsets }),
    },
  )
  return rows.map(({ key: found, liveRows, otherRows, ...sum }) => ({
    ...sum,
    key: Number(found),
    liveRows: Number(liveRows),
    otherRows: Number(otherRows),
  }))
}

const differencesAt = async (
  tables: Tables,
  partition: number,
  offsets: readonly number[],
): Promise<Difference[]> => {
  const { event, topic, compared } = tables
  const names = namesOf(event)
  const rowsOf = async (generation: number): Promise<Map<number, Record<string, unknown>[]>> => {
    const rows = await ask<Record<string, unknown>>(
      tables,
      `SELECT ${names.join(', ')} FROM ${quoted(tableName(event.type, generation))} ` +
        'WHERE _topic = {topic:String} AND _partition = {partition:UInt32} AND _offset IN {offsets:Array(UInt64)}',
      { partition, offsets },
    )
    return Map.groupBy(rows, (row) => Number(row._offset))
  }
  const [live, other] = await Promise.all([rowsOf(compared.live), rowsOf(compared.other)])
  return offsets.map((offset) => {
    const [some = [], others = []] = [live.get(offset), other.get(offset)]
    const [one, two] = [some[0] ?? null, others[0] ?? null]
    const columns = Object.keys(one ?? two ?? {}).filter(
      (name) => JSON.stringify(one?.[name]) !== JSON.stringify(two?.[name]),
    )
    return {
      key: `${topic}:${partition}:${offset} ${event.type}`,
      live: some.length > 1 ? some : one,
      other: others.length > 1 ? others : two,
      columns,
    }
  })
}

const namesOf = (event: EventDefinition): string[] =>
  [...metadataColumns, ...dataColumns(event)].map(({ name }) => quoted(name))

const ask = async <Row>(
  { parts, topic, ends, signal }: Tables,
  query: string,
  parameters: Record<string, unknown>,
): Promise<Row[]> => {
  try {
    const answer = await parts.clickhouse.query({
      query,
      query_params: { topic, ends, ...parameters },
      format: 'JSONEachRow',
      clickhouse_settings: { ...settings, ...linearizable(parts.cluster) },
      abort_signal: signal,
    })
    return await answer.json<Row>()
  } catch (error) {
    signal.throwIfAborted()
    throw clickhouseError(error, 'compare two generations')
  }
}

const settings = {
  max_memory_usage: String(1024 ** 3),
  // What is asked by readers, and what is written, goes first.
  max_threads: 1,
  output_format_json_quote_decimals: 1,
} as const
