import type { ClickHouseClient } from '@clickhouse/client'
import { EmbudoError, messageOf } from '../../define/error.ts'
import type { Condition, Span } from './parameters.ts'

/** Values are parameters; identifiers come from the catalogue and are quoted. */
export interface Question {
  readonly query: string
  readonly parameters: Record<string, unknown>
}

/** The table of an event type. */
export type TableOf = (eventType: string) => string

/** Bounded in time and memory: a question too large must not take the tables away from others. */
export const ask = async <Row>(
  clickhouse: ClickHouseClient,
  { query, parameters }: Question,
): Promise<Row[]> => {
  try {
    const answer = await clickhouse.query({
      query,
      query_params: parameters,
      format: 'JSONEachRow',
      clickhouse_settings: bounds,
    })
    return await answer.json<Row>()
  } catch (cause) {
    throw failure(cause)
  }
}

const bounds = {
  max_execution_time: 30,
  max_memory_usage: String(2 * 1024 ** 3),
  readonly: '2',
  output_format_json_quote_64bit_integers: 0,
  output_format_json_quote_decimals: 1,
} as const

const failure = (cause: unknown): EmbudoError => {
  const code = String((cause as { code?: unknown } | null)?.code ?? '')
  if (code === '159' || code === '241') {
    const what = code === '159' ? 'takes too long' : 'needs too much memory'
    return new EmbudoError(
      'range_too_large',
      `this question ${what}; ask for a shorter time or fewer groups`,
      {
        cause,
        facts: { field: 'from' },
      },
    )
  }
  return new EmbudoError('clickhouse_unavailable', `ClickHouse did not answer: ${messageOf(cause)}`, {
    cause,
    retriable: true,
  })
}

export const quoted = (identifier: string): string => `\`${identifier.replace(/[\\`]/g, '\\$&')}\``

export const milliseconds = 'toUnixTimestamp64Milli(_time)'

/** Said of the column itself, so that the index on time is used. */
export const within =
  "_time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND _time < fromUnixTimestamp64Milli({to:Int64}, 'UTC')"

export const spanParameters = ({ fromMs, toMs }: Span): Record<string, unknown> => ({
  from: fromMs,
  to: toMs,
})

/** `AND field = {where_0:...}` for each condition, and its parameters. `first` keeps names apart. */
export const filtered = (
  conditions: readonly Condition[],
  first: number,
): { sql: string; parameters: Record<string, unknown> } => {
  const parameters: Record<string, unknown> = {}
  const sql = conditions.map(({ field, value }, index) => {
    const name = `where_${first + index}`
    parameters[name] = value
    return ` AND toString(${quoted(field.name)}) = {${name}:String}`
  })
  return { sql: sql.join(''), parameters }
}

/**
 * When the newest event that is in the asked tables was appended: nothing appended after that is in the answer.
 * Nearly always it is among the last hour's, and an index finds those; null where the tables are empty.
 */
export const asOf = async (
  clickhouse: ClickHouseClient,
  tables: readonly string[],
  nowMs: number,
): Promise<string | null> => {
  const newest = async (sinceMs: number): Promise<number> => {
    const each = [...new Set(tables)].map(
      (table) =>
        `SELECT toUnixTimestamp64Milli(max(_appended_at)) AS at FROM ${quoted(table)} ` +
        "WHERE _appended_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')",
    )
    const query = `SELECT max(at) AS newest FROM (${each.join(' UNION ALL ')})`
    const [row] = await ask<{ newest: number }>(clickhouse, { query, parameters: { since: sinceMs } })
    return Number(row?.newest ?? 0)
  }
  const found = (await newest(nowMs - 3_600_000)) || (await newest(0))
  return found === 0 ? null : new Date(found).toISOString()
}
