import type { ClickHouseClient } from '@clickhouse/client'
import * as z from 'zod'
import type { Catalog, EventDefinition } from '../../define/catalog.ts'
import { EmbudoError } from '../../define/error.ts'
import type { Field } from '../../define/field.ts'
import { fromUnits, toUnits } from '../../define/money.ts'
import {
  ask,
  asOf,
  filtered,
  milliseconds,
  type Question,
  quoted,
  spanParameters,
  type TableOf,
  within,
} from './ask.ts'
import { type Interval, intervalStarts } from './calendar.ts'
import {
  badParameter,
  type Condition,
  commonParameters,
  conditionOf,
  dimensionOf,
  eventOf,
  type Span,
  spanOf,
} from './parameters.ts'

export const timeseriesParameters = z.strictObject({
  ...commonParameters,
  event: z.string().meta({ description: 'The event type.', example: 'webinar_attended' }),
  measure: z.string().default('count').meta({
    description: '`count`, `subjects` (different ones), `sum:<field>`, `avg:<field>` or `p95:<field>`.',
  }),
  interval: z.enum(['hour', 'day', 'week', 'month']).default('day'),
})

export const timeseriesAnswer = z
  .object({
    interval: z.enum(['hour', 'day', 'week', 'month']),
    series: z.array(
      z.object({
        by: z.string().nullable(),
        points: z.array(
          z.object({
            time: z.string().meta({ format: 'date-time', description: 'When the interval begins.' }),
            value: z.union([z.number(), z.string()]).meta({ description: 'An exact decimal is text.' }),
          }),
        ),
      }),
    ),
    asOf: z
      .string()
      .nullable()
      .meta({ format: 'date-time', description: 'When the newest event in the answer was appended.' }),
  })
  .meta({ id: 'Timeseries' })

export type TimeseriesAnswer = z.output<typeof timeseriesAnswer>

export interface Timeseries extends Span {
  readonly event: EventDefinition
  readonly measure: Measure
  readonly interval: Interval
  readonly by: Field | undefined
  readonly where: readonly Condition[]
  /** When each interval begins. */
  readonly starts: readonly number[]
}

export interface Measure {
  readonly of: 'count' | 'subjects' | 'sum' | 'avg' | 'p95'
  readonly field: Field | undefined
}

const mostIntervals = 2_000
const mostSeries = 100
const mostPoints = 20_000

export const parseTimeseries = (
  query: z.output<typeof timeseriesParameters>,
  catalog: Catalog,
  nowMs: number,
): Timeseries => {
  const event = eventOf(catalog, 'event', query.event)
  const span = spanOf(query, nowMs)
  const starts = intervalStarts(span.fromMs, span.toMs, query.interval, query.tz, mostIntervals)
  if (starts.length > mostIntervals) {
    const detail = `more than ${mostIntervals} intervals lie between from and to; take a longer interval or a shorter time`
    throw new EmbudoError('range_too_large', `interval: ${detail}`, { facts: { field: 'interval', detail } })
  }
  return {
    ...span,
    event,
    interval: query.interval,
    measure: measureOf(event, query.measure),
    by: query.by === undefined ? undefined : dimensionOf(event, 'by', query.by),
    where: Object.entries(query.where ?? {}).map(([name, value]) =>
      conditionOf(dimensionOf(event, `where[${name}]`, name), value),
    ),
    starts,
  }
}

export const timeseries = async (
  clickhouse: ClickHouseClient,
  table: TableOf,
  asked: Timeseries,
  nowMs: number,
): Promise<TimeseriesAnswer> => {
  const [rows, newest] = await Promise.all([
    ask<Row>(clickhouse, questionOf(asked, table)),
    asOf(clickhouse, [table(asked.event.type)], nowMs),
  ])
  return { interval: asked.interval, series: seriesOf(asked, rows), asOf: newest }
}

const measureOf = (event: EventDefinition, text: string): Measure => {
  if (text === 'count' || text === 'subjects') return { of: text, field: undefined }
  const [, of, name] = /^(sum|avg|p95):(.+)$/.exec(text) ?? []
  const fields = event.fields.filter(({ kind, personal }) => personal === undefined && numbers.has(kind.is))
  const field = fields.find((candidate) => candidate.name === name)
  if (of === undefined || field === undefined) {
    const measures = fields.flatMap((candidate) =>
      ['sum', 'avg', 'p95'].map((verb) => `${verb}:${candidate.name}`),
    )
    throw badParameter('measure', `${event.type} has no measure ${text.slice(0, 64)}`, [
      'count',
      'subjects',
      ...measures,
    ])
  }
  return { of: of as 'sum' | 'avg' | 'p95', field }
}

const numbers = new Set(['integer', 'double', 'decimal'])

interface Row {
  readonly _start: number
  readonly _group: string | null
  readonly _value: number | string | null
}

/** Names of our own begin with _, which no field's does: `value` is one of conversion_completed. */
const questionOf = ({ event, measure, by, where, starts, ...span }: Timeseries, table: TableOf): Question => {
  const { sql, parameters } = filtered(where, 0)
  const group = by === undefined ? 'NULL' : `toString(${quoted(by.name)})`
  return {
    query:
      `SELECT roundDown(${milliseconds}, {starts:Array(Int64)}) AS _start, ${group} AS _group, ${measured(measure)} AS _value ` +
      `FROM ${quoted(table(event.type))} WHERE ${within}${sql} GROUP BY _start, _group ORDER BY _group, _start LIMIT ${mostPoints + 1}`,
    parameters: { ...parameters, ...spanParameters(span), starts: [...starts] },
  }
}

const measured = ({ of, field }: Measure): string => {
  if (field === undefined) return of === 'count' ? 'count()' : 'uniqExact(_subject)'
  const column = quoted(field.name)
  switch (of) {
    case 'sum':
      return `sum(${column})`
    case 'avg':
      return field.kind.is === 'decimal' ? decimalMean(column, field.kind.scale) : `avg(${column})`
    default:
      return `quantileExact(0.95)(${column})`
  }
}

/** Never a double: a decimal divided by a whole number is cut off at its scale, so two digits more are rounded. */
const decimalMean = (column: string, scale: number): string =>
  `round(CAST(sum(${column}) AS Decimal(38, ${scale + 2})) / nullIf(toInt64(count(${column})), 0), ${scale})`

const seriesOf = (asked: Timeseries, rows: readonly Row[]): TimeseriesAnswer['series'] => {
  const groups = Map.groupBy(rows, (row) => row._group)
  if (asked.by === undefined && groups.size === 0) groups.set(null, [])
  if (groups.size > mostSeries || groups.size * asked.starts.length > mostPoints) {
    throw badParameter(
      'by',
      `${asked.by?.name} has too many values for one answer; filter with where, or take a longer interval`,
    )
  }
  return [...groups].map(([by, found]) => {
    const values = new Map(found.map((row) => [Number(row._start), row._value]))
    const points = asked.starts.map((start) => ({
      time: new Date(start).toISOString(),
      value: shown(values.get(start) ?? null, asked.measure),
    }))
    return { by, points }
  })
}

/** Zero where nothing happened. Amounts as text with at least two decimals, as everywhere. */
const shown = (value: number | string | null, { field }: Measure): number | string => {
  if (field?.kind.is !== 'decimal') return Number(value ?? 0)
  return fromUnits(toUnits(String(value ?? '0'), field.kind.scale), field.kind.scale)
}
