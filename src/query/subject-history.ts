import type { ClickHouseClient } from '@clickhouse/client'
import type { Catalog } from '../define/catalog.ts'
import { EmbudoError } from '../define/error.ts'
import type { Field } from '../define/field.ts'
import { fromUnits, toUnits } from '../define/money.ts'

/** An event of somebody's history. Personal fields are not in it: they never reach the analytics tables. */
export interface HistoryEvent {
  readonly type: string
  readonly id: string
  readonly source: string
  readonly time: string
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly data: Readonly<Record<string, unknown>>
}

export interface SubjectHistory {
  /** In the order in which it happened, behind `after`. */
  events(subject: string, after: HistoryPlace | undefined, limit: number): Promise<HistoryEvent[]>
}

export type HistoryPlace = Pick<HistoryEvent, 'time' | 'topic' | 'partition' | 'offset'>

export interface HistoryParts {
  readonly clickhouse: ClickHouseClient
  readonly catalog: Catalog
  /** Names of the tables that are read: of the one over all events, and of an event type's own. */
  readonly tables: () => Promise<{ readonly all: string; readonly of: (eventType: string) => string }>
}

/** All that happened to a subject, from the analytics tables: one question for what, one for each type's data. */
export const clickhouseHistory = ({ clickhouse, catalog, tables }: HistoryParts): SubjectHistory => {
  const ask = async <Row>(query: string, params: Record<string, unknown>): Promise<Row[]> => {
    try {
      const answer = await clickhouse.query({
        query,
        query_params: params,
        format: 'JSONEachRow',
        clickhouse_settings: exactNumbers,
      })
      return await answer.json<Row>()
    } catch (cause) {
      throw new EmbudoError('clickhouse_unavailable', 'ClickHouse did not answer; try again', {
        cause,
        retriable: true,
      })
    }
  }

  return {
    async events(subject, after, limit) {
      const { all, of } = await tables()
      const places = await ask<Place>(
        `SELECT _type, _event_id, _source, toUnixTimestamp64Milli(_time) AS _ms, _topic, _partition, _offset FROM ${quoted(all)}
         WHERE _subject = {subject:String} ${after === undefined ? '' : `AND ${behind}`}
         ORDER BY _time, _topic, _partition, _offset LIMIT {limit:UInt32}`,
        { subject, limit, ...(after === undefined ? {} : { ...after, time: Date.parse(after.time) }) },
      )
      const data = await Promise.all(
        [...Map.groupBy(places, ({ _type }) => _type)].map(async ([type, same]) => {
          const fields = readable(catalog.events.get(type)?.fields ?? [])
          const rows = await ask<Row>(
            `SELECT _topic, _partition, _offset, ${fields.map(({ name }) => quoted(name)).join(', ')} FROM ${quoted(of(type))}
             WHERE _subject = {subject:String} AND _time >= fromUnixTimestamp64Milli({from:Int64}) AND _time <= fromUnixTimestamp64Milli({to:Int64})`,
            { subject, from: Number(same[0]!._ms), to: Number(same.at(-1)!._ms) },
          )
          return rows.map((row): [string, Row] => [placeOf(row), dataOf(row, fields)])
        }),
      )
      const byPlace = new Map(data.flat())
      return places.map((place) => ({
        type: place._type,
        id: place._event_id,
        source: place._source,
        time: new Date(Number(place._ms)).toISOString(),
        topic: place._topic,
        partition: Number(place._partition),
        offset: Number(place._offset),
        data: byPlace.get(placeOf(place)) ?? {},
      }))
    },
  }
}

const behind = `(toUnixTimestamp64Milli(_time), _topic, _partition, _offset) >
  ({time:Int64}, {topic:String}, {partition:UInt32}, {offset:UInt64})`

const exactNumbers = {
  output_format_json_quote_64bit_integers: 0,
  output_format_json_quote_decimals: 1,
} as const

interface Place {
  readonly _type: string
  readonly _event_id: string
  readonly _source: string
  readonly _ms: number | string
  readonly _topic: string
  readonly _partition: number
  readonly _offset: number | string
}

type Row = Record<string, unknown>

const readable = (fields: readonly Field[]): Field[] => fields.filter((field) => field.personal === undefined)

const placeOf = (row: Row | Place): string => `${row._topic}:${row._partition}:${row._offset}`

const dataOf = (row: Row, fields: readonly Field[]): Row =>
  Object.fromEntries(
    fields.map(({ name, kind }) => [
      name,
      kind.is === 'decimal' ? amountOf(row[name], kind.scale) : row[name],
    ]),
  )

/** ClickHouse leaves out the zeros behind the point. */
const amountOf = (amount: unknown, scale: number): unknown =>
  amount === null || amount === undefined ? null : fromUnits(toUnits(String(amount), scale), scale)

const quoted = (identifier: string): string => `\`${identifier.replace(/[\\`]/g, '\\$&')}\``
