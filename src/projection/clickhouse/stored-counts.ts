import type { ClickHouseClient } from '@clickhouse/client'
import type { CountStored } from '../reconcile.ts'
import { clickhouseError } from './clickhouse-error.ts'
import { allEvents } from './tables.ts'

/**
 * Counts what the tables themselves hold, by nothing that a sink has written down: rows, and distinct offsets, of
 * each range. The distinct ones are counted in a bitmap: exact, and a bit each where offsets are dense.
 */
export const storedCounts =
  (clickhouse: ClickHouseClient): CountStored =>
  async (generation, ranges, signal) => {
    if (ranges.every(({ from, to }) => from === to)) return ranges.map(() => nothing)
    try {
      const answer = await clickhouse.query({
        query:
          'SELECT _topic AS topic, _partition AS `partition`, toString(count()) AS rows, toString(groupBitmap(_offset)) AS offsets ' +
          `FROM ${allEvents(generation)} INNER JOIN (SELECT r.1 AS t, r.2 AS p, r.3 AS first, r.4 AS next FROM ` +
          '(SELECT arrayJoin(arrayZip({topics:Array(String)}, {partitions:Array(UInt32)}, {first:Array(UInt64)}, {next:Array(UInt64)})) AS r)) AS ranges ' +
          'ON _topic = ranges.t AND _partition = ranges.p WHERE _offset >= ranges.first AND _offset < ranges.next ' +
          'GROUP BY topic, `partition`',
        query_params: {
          topics: ranges.map(({ topic }) => topic),
          partitions: ranges.map(({ partition }) => partition),
          first: ranges.map(({ from }) => from),
          next: ranges.map(({ to }) => to),
        },
        format: 'JSONEachRow',
        ...(signal && { abort_signal: signal }),
      })
      const rows = await answer.json<{ topic: string; partition: number; rows: string; offsets: string }>()
      const found = new Map(
        rows.map((row) => [
          `${row.topic}:${row.partition}`,
          { rows: Number(row.rows), offsets: Number(row.offsets) },
        ]),
      )
      return ranges.map(({ topic, partition }) => found.get(`${topic}:${partition}`) ?? nothing)
    } catch (error) {
      // A generation whose tables are gone has no rows: what was applied is missing, and is told so.
      if ((error as { code?: unknown } | null)?.code === unknownTable) return ranges.map(() => nothing)
      throw clickhouseError(error, 'count the rows')
    }
  }

const nothing = { rows: 0, offsets: 0 }
const unknownTable = '60'
