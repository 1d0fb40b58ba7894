import type { ClickHouseClient } from '@clickhouse/client'
import { type Catalog, sendable } from '../../define/catalog.ts'
import { EmbudoError } from '../../define/error.ts'
import { clickhouseError } from './clickhouse-error.ts'
import { type Cluster, deduplicationWindow, engineOf, onCluster } from './cluster.ts'
import { columnList, dataColumns, metadataColumns, quoted } from './columns.ts'

/** `lead_registered_g1`: the table of an event type in one generation. */
export const tableName = (eventType: string, generation: number): string => `${eventType}_g${generation}`

/** One name over all tables of a generation, with the metadata only. */
export const allEvents = (generation: number): string => `events_g${generation}`

/** Which epoch may write into which partition's rows: see fence.ts. */
export const fenceTable = 'embudo_fence'

/** The oldest that is still maintained; the tests run on a current one. */
const oldestVersion = [25, 3] as const

/**
 * Makes what is missing: the fence, a table for each event type, and a column for each field that a schema has
 * got since. Events of embudo's own have none: what was edited in a dead letter is a whole record, with what is
 * personal in it. Safe to run at once in several processes, and a question of one query when nothing is missing.
 */
export const ensureEventTables = async (
  clickhouse: ClickHouseClient,
  catalog: Catalog,
  generation: number,
  cluster?: Cluster,
): Promise<void> => {
  await checkVersion(clickhouse)
  if (cluster !== undefined) await checkShards(clickhouse, cluster)
  for (const statement of missingTables(catalog, generation, await existingColumns(clickhouse), cluster)) {
    await run(clickhouse, statement)
  }
}

/**
 * Points the plain names (`lead_registered`, `events`) at a generation's tables. The names are for people's own
 * SQL: embudo itself reads the tables of the generation that it was told.
 */
export const nameEventTables = async (
  clickhouse: ClickHouseClient,
  catalog: Catalog,
  generation: number,
  cluster?: Cluster,
): Promise<void> => {
  const names = typesOf(catalog).map((type) => [type, tableName(type, generation)] as const)
  for (const [name, table] of [...names, ['events', allEvents(generation)] as const]) {
    await run(
      clickhouse,
      `CREATE OR REPLACE VIEW ${quoted(name)}${onCluster(cluster)} AS SELECT * FROM ${quoted(table)}`,
    )
  }
}

/** Drops a generation's tables. The fence stays: should the number come again, its epochs go on behind it. */
export const dropEventTables = async (
  clickhouse: ClickHouseClient,
  catalog: Catalog,
  generation: number,
  cluster?: Cluster,
): Promise<void> => {
  const tables = [
    allEvents(generation),
    ...[...catalog.events.keys()].map((type) => tableName(type, generation)),
  ]
  // At once, so that the place in Keeper is free.
  for (const table of tables)
    await run(clickhouse, `DROP TABLE IF EXISTS ${quoted(table)}${onCluster(cluster)} SYNC`)
}

/** Which generation the plain names show; undefined where they do not all show the same. */
export const namedGeneration = async (
  clickhouse: ClickHouseClient,
  catalog: Catalog,
): Promise<number | undefined> => {
  const names = ['events', ...typesOf(catalog)]
  const rows = await select<{ generation: string; names: string }>(
    clickhouse,
    "SELECT extract(as_select, '_g([0-9]+)`?$') AS generation, toString(count()) AS names FROM system.tables " +
      "WHERE database = currentDatabase() AND engine = 'View' AND name IN {names:Array(String)} GROUP BY generation",
    { names },
  )
  const [row] = rows
  const isWhole = rows.length === 1 && Number(row?.names) === names.length
  return isWhole ? Number(row?.generation) : undefined
}

/** The statements that bring the database from the columns it has (by table) to what the catalogue asks for. */
export const missingTables = (
  catalog: Catalog,
  generation: number,
  existing: ReadonlyMap<string, ReadonlySet<string>>,
  cluster?: Cluster,
): string[] => {
  const statements: string[] = []
  const everywhere = onCluster(cluster)
  if (!existing.has(fenceTable)) statements.push(createFence(cluster))
  for (const event of sendable(catalog).events.values()) {
    const name = tableName(event.type, generation)
    const columns = existing.get(name)
    if (columns === undefined) {
      statements.push(createTable(name, columnList([...metadataColumns, ...dataColumns(event)]), cluster))
      continue
    }
    const missing = dataColumns(event).filter((column) => !columns.has(column.name))
    if (missing.length > 0) {
      const additions = missing.map((column) => `ADD COLUMN IF NOT EXISTS ${columnList([column])}`)
      statements.push(`ALTER TABLE ${quoted(name)}${everywhere} ${additions.join(', ')}`)
    }
  }
  for (const [type, { topic }] of catalog.events) {
    const name = tableName(type, generation)
    if (topic.isInternal && existing.has(name))
      statements.push(`DROP TABLE IF EXISTS ${quoted(name)}${everywhere} SYNC`)
    if (topic.isInternal && existing.has(type))
      statements.push(`DROP VIEW IF EXISTS ${quoted(type)}${everywhere}`)
  }
  const all = allEvents(generation)
  if (!existing.has(all)) {
    statements.push(
      `CREATE TABLE IF NOT EXISTS ${quoted(all)}${everywhere} (${columnList(metadataColumns)}) ` +
        `ENGINE = Merge(currentDatabase(), '^[a-z][a-z0-9_]*_g${generation}$')`,
    )
  }
  return statements
}

const typesOf = (catalog: Catalog): string[] => [...sendable(catalog).events.keys()]

// Ordered for questions over spans of days that follow subjects through them. No PARTITION BY: a backfill that
// spans years would need a part for each month in every insert. The index on _offset serves the look of fence.ts.
const createTable = (name: string, columns: string, cluster: Cluster | undefined): string =>
  `CREATE TABLE IF NOT EXISTS ${quoted(name)}${onCluster(cluster)} (${columns}, ` +
  'INDEX _by_offset _offset TYPE minmax GRANULARITY 1, INDEX _by_appended_at _appended_at TYPE minmax GRANULARITY 1, ' +
  'INDEX _by_subject _subject TYPE bloom_filter GRANULARITY 4) ' +
  `ENGINE = ${engineOf(cluster, 'MergeTree')} ORDER BY (toDate32(_time), _subject, _time) ` +
  `SETTINGS ${deduplicationWindow(cluster)}`

const createFence = (cluster: Cluster | undefined): string =>
  `CREATE TABLE IF NOT EXISTS ${fenceTable}${onCluster(cluster)} (reader LowCardinality(String), generation UInt32, topic LowCardinality(String), ` +
  `\`partition\` UInt32, epoch UInt64) ENGINE = ${engineOf(cluster, 'ReplacingMergeTree', 'epoch')} ` +
  'ORDER BY (reader, generation, topic, `partition`)'

const existingColumns = async (clickhouse: ClickHouseClient): Promise<Map<string, Set<string>>> => {
  const rows = await select<{ table: string; names: string[] }>(
    clickhouse,
    'SELECT table, groupArray(name) AS names FROM system.columns WHERE database = currentDatabase() GROUP BY table',
  )
  return new Map(rows.map(({ table, names }) => [table, new Set(names)]))
}

const checkVersion = async (clickhouse: ClickHouseClient): Promise<void> => {
  const [row] = await select<{ version: string }>(clickhouse, 'SELECT version() AS version')
  const version = row?.version ?? '0'
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major < oldestVersion[0] || (major === oldestVersion[0] && minor < oldestVersion[1])) {
    throw new EmbudoError(
      'clickhouse_too_old',
      `ClickHouse is ${version}; ${oldestVersion.join('.')} or later is needed. Upgrade the server that CLICKHOUSE_URL names.`,
      { facts: { version } },
    )
  }
}

/** Rows are sent to whichever server answers; were each to keep a part of them, a look would miss the others'. */
const checkShards = async (clickhouse: ClickHouseClient, { name }: Cluster): Promise<void> => {
  const [found] = await select<{ shards: number }>(
    clickhouse,
    'SELECT toUInt32(uniqExact(shard_num)) AS shards FROM system.clusters WHERE cluster = {name:String}',
    { name },
  )
  const shards = found?.shards ?? 0
  if (shards === 1) return
  throw new EmbudoError(
    'clickhouse_cluster',
    `EMBUDO_CLICKHOUSE_CLUSTER is ${name}, and ClickHouse knows ${shards === 0 ? 'no such cluster' : `${shards} shards of it`}: name one of a single shard, however many replicas it has`,
    { facts: { cluster: name, shards } },
  )
}

const select = async <Row>(
  clickhouse: ClickHouseClient,
  query: string,
  parameters: Record<string, unknown> = {},
): Promise<Row[]> => {
  try {
    const answer = await clickhouse.query({ query, query_params: parameters, format: 'JSONEachRow' })
    return await answer.json<Row>()
  } catch (error) {
    throw clickhouseError(error, 'look at the tables')
  }
}

const run = async (clickhouse: ClickHouseClient, query: string): Promise<void> => {
  try {
    await clickhouse.command({ query })
  } catch (error) {
    throw clickhouseError(error, `run ${query.slice(0, 60)}`)
  }
}
