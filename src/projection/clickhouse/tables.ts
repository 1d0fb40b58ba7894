import type { ClickHouseClient } from '@clickhouse/client'
import type { Catalog } from '../../define/catalog.ts'
import { EmbudoError } from '../../define/error.ts'
import { clickhouseError } from './clickhouse-error.ts'
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
 * got since. Safe to run at once in several processes, and a question of one query when nothing is missing.
 */
export const ensureEventTables = async (
  clickhouse: ClickHouseClient,
  catalog: Catalog,
  generation: number,
): Promise<void> => {
  await checkVersion(clickhouse)
  for (const statement of missingTables(catalog, generation, await existingColumns(clickhouse))) {
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
): Promise<void> => {
  const names = [...catalog.events.keys()].map((type) => [type, tableName(type, generation)] as const)
  for (const [name, table] of [...names, ['events', allEvents(generation)] as const]) {
    await run(clickhouse, `CREATE OR REPLACE VIEW ${quoted(name)} AS SELECT * FROM ${quoted(table)}`)
  }
}

/** The statements that bring the database from the columns it has (by table) to what the catalogue asks for. */
export const missingTables = (
  catalog: Catalog,
  generation: number,
  existing: ReadonlyMap<string, ReadonlySet<string>>,
): string[] => {
  const statements: string[] = []
  if (!existing.has(fenceTable)) statements.push(createFence)
  for (const event of catalog.events.values()) {
    const name = tableName(event.type, generation)
    const columns = existing.get(name)
    if (columns === undefined) {
      statements.push(createTable(name, columnList([...metadataColumns, ...dataColumns(event)])))
      continue
    }
    const missing = dataColumns(event).filter((column) => !columns.has(column.name))
    if (missing.length > 0) {
      const additions = missing.map((column) => `ADD COLUMN IF NOT EXISTS ${columnList([column])}`)
      statements.push(`ALTER TABLE ${quoted(name)} ${additions.join(', ')}`)
    }
  }
  const all = allEvents(generation)
  if (!existing.has(all)) {
    statements.push(
      `CREATE TABLE IF NOT EXISTS ${quoted(all)} (${columnList(metadataColumns)}) ` +
        `ENGINE = Merge(currentDatabase(), '^[a-z][a-z0-9_]*_g${generation}$')`,
    )
  }
  return statements
}

// Ordered for questions over spans of days that follow subjects through them. No PARTITION BY: a backfill that
// spans years would need a part for each month in every insert. The index on _offset serves the look of fence.ts.
const createTable = (name: string, columns: string): string =>
  `CREATE TABLE IF NOT EXISTS ${quoted(name)} (${columns}, ` +
  'INDEX _by_offset _offset TYPE minmax GRANULARITY 1, INDEX _by_appended_at _appended_at TYPE minmax GRANULARITY 1, ' +
  'INDEX _by_subject _subject TYPE bloom_filter GRANULARITY 4) ' +
  'ENGINE = MergeTree ORDER BY (toDate32(_time), _subject, _time) SETTINGS non_replicated_deduplication_window = 1000'

const createFence =
  `CREATE TABLE IF NOT EXISTS ${fenceTable} (reader LowCardinality(String), generation UInt32, topic LowCardinality(String), ` +
  '`partition` UInt32, epoch UInt64) ENGINE = ReplacingMergeTree(epoch) ORDER BY (reader, generation, topic, `partition`)'

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

const select = async <Row>(clickhouse: ClickHouseClient, query: string): Promise<Row[]> => {
  try {
    const answer = await clickhouse.query({ query, format: 'JSONEachRow' })
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
