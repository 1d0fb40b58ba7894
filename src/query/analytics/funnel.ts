import type { ClickHouseClient } from '@clickhouse/client'
import * as z from 'zod'
import type { Catalog, EventDefinition } from '../../define/catalog.ts'
import type { Field } from '../../define/field.ts'
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
import {
  badParameter,
  type Condition,
  commonParameters,
  conditionOf,
  dimensionOf,
  dimensionsOf,
  eventOf,
  type Span,
  spanOf,
} from './parameters.ts'

export const funnelParameters = z.strictObject({
  ...commonParameters,
  by: commonParameters.by.meta({
    description: "A field of the first step's event: one funnel for each of its values.",
  }),
  where: commonParameters.where.meta({
    description:
      'Only events whose field has this value, in every step whose event has the field: `where[webinarId]=W-9`.',
  }),
  steps: z.string().meta({
    description: '2 to 10 event types, in order.',
    example: 'lead_registered,webinar_attended,conversion_completed',
  }),
  window: z
    .string()
    .regex(/^[1-9]\d{0,5}[smhdw]$/, { error: 'expected a number and s, m, h, d or w, for example 7d' })
    .default('7d')
    .meta({ description: 'All steps lie within this time from the first.' }),
})

export const funnelAnswer = z
  .object({
    window: z.string(),
    groups: z.array(
      z.object({
        by: z.string().nullable(),
        steps: z.array(
          z.object({
            event: z.string(),
            subjects: z.int(),
            fromPrevious: z.number().meta({ description: 'Share of the step before, 0 to 1.' }),
            fromFirst: z.number().meta({ description: 'Share of the first step, 0 to 1.' }),
          }),
        ),
      }),
    ),
    asOf: z
      .string()
      .nullable()
      .meta({ format: 'date-time', description: 'When the newest event in the answer was appended.' }),
  })
  .meta({ id: 'Funnel' })

export type FunnelAnswer = z.output<typeof funnelAnswer>

export interface Funnel extends Span {
  readonly steps: readonly EventDefinition[]
  readonly window: string
  readonly windowMs: number
  readonly by: Field | undefined
  /** By event type: each filter holds for every step that has its field. */
  readonly where: ReadonlyMap<string, readonly Condition[]>
}

const mostGroups = 100

export const parseFunnel = (
  query: z.output<typeof funnelParameters>,
  catalog: Catalog,
  nowMs: number,
): Funnel => {
  const names = query.steps.split(',').map((name) => name.trim())
  if (names.length < 2 || names.length > 10)
    throw badParameter('steps', 'expected 2 to 10 event types with commas between')
  const steps = names.map((name) => eventOf(catalog, 'steps', name))
  return {
    ...spanOf(query, nowMs),
    steps,
    window: query.window,
    windowMs: windowMsOf(query.window),
    by: query.by === undefined ? undefined : dimensionOf(steps[0]!, 'by', query.by),
    where: whereOf(query.where ?? {}, steps),
  }
}

export const funnel = async (
  clickhouse: ClickHouseClient,
  table: TableOf,
  asked: Funnel,
  nowMs: number,
): Promise<FunnelAnswer> => {
  const tables = asked.steps.map((event) => table(event.type))
  const [rows, newest] = await Promise.all([
    ask<Row>(clickhouse, questionOf(asked, table)),
    asOf(clickhouse, tables, nowMs),
  ])
  return { window: asked.window, groups: groupsOf(asked, rows), asOf: newest }
}

const units: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
}
const windowMsOf = (window: string): number => Number(window.slice(0, -1)) * units[window.at(-1)!]!

const whereOf = (
  where: Readonly<Record<string, string>>,
  steps: readonly EventDefinition[],
): Funnel['where'] => {
  const conditions = new Map<string, Condition[]>()
  for (const [name, value] of Object.entries(where)) {
    const having = new Set(steps.filter((event) => dimensionsOf(event).some((field) => field.name === name)))
    if (having.size === 0) {
      const allowed = new Set(steps.flatMap((event) => dimensionsOf(event).map((field) => field.name)))
      throw badParameter(`where[${name}]`, `no step has a field ${name.slice(0, 64)} to go by`, [...allowed])
    }
    for (const event of having) {
      const condition = conditionOf(dimensionOf(event, `where[${name}]`, name), value)
      conditions.set(event.type, [...(conditions.get(event.type) ?? []), condition])
    }
  }
  return conditions
}

interface Row {
  /** '' for all subjects or for those whose field has no value, else '=' and the value. */
  readonly _group: string
  /** How many steps a chain of theirs has at most. */
  readonly _reached: number
  readonly _subjects: number
}

/**
 * For each subject its events of the steps in order, then a walk over them that keeps, for each step, when the
 * latest chain that has come so far began. Not windowFunnel: that one refuses DateTime64, and at equal times it
 * takes steps out of order or, told to be strict, takes none; here the order of the log decides those, as it does
 * for every fold. An event never counts for two steps of one chain.
 *
 * With `by`, a group's funnel is the one whose first step has that value; a subject may be in several.
 */
const questionOf = ({ steps, windowMs, by, where, ...span }: Funnel, table: TableOf): Question => {
  const parameters: Record<string, unknown> = { ...spanParameters(span), window: windowMs }
  let filters = 0
  const events = [...new Set(steps)].map((event) => {
    const conditions = where.get(event.type) ?? []
    const filter = filtered(conditions, filters)
    filters += conditions.length
    Object.assign(parameters, filter.parameters)
    const stepsOfIt = steps.reduce((bits, step, index) => (step === event ? bits | (1 << index) : bits), 0)
    const place = `${milliseconds}, toUnixTimestamp64Milli(_appended_at), _offset, toUInt16(${stepsOfIt})`
    const group = by !== undefined && event === steps[0] ? groupOf(by) : "''"
    return `SELECT _subject, tuple(${place}, ${group}) AS _event FROM ${quoted(table(event.type))} WHERE ${within}${filter.sql}`
  })
  const source = `SELECT _subject, arraySort(groupArray(_event)) AS _events FROM (${events.join(' UNION ALL ')}) GROUP BY _subject`
  const walked =
    by === undefined
      ? `SELECT '' AS _group, ${walk('_events', steps.length)} AS _reached FROM (${source})`
      : `SELECT _group, ${walk(onlyFirstOf('_group'), steps.length)} AS _reached FROM (${source}) ` +
        'ARRAY JOIN arrayDistinct(arrayMap(e -> e.5, arrayFilter(e -> bitTest(e.4, 0), _events))) AS _group'
  return {
    query:
      `SELECT _group, _reached, count() AS _subjects FROM (${walked}) WHERE _reached > 0 ` +
      `GROUP BY _group, _reached ORDER BY _group, _reached LIMIT ${(mostGroups + 1) * steps.length}`,
    parameters,
  }
}

/** How many steps have been reached. A later beginning is the better one: it leaves more of the window. */
const walk = (chain: string, steps: number): string => {
  const bits = Array.from({ length: steps }, (_, index) => index).join(', ')
  const none = Array.from({ length: steps }, () => `toInt64(${never})`).join(', ')
  return (
    `arrayCount(began -> began > ${never}, arrayFold((begun, e) -> arrayMap((began, before, bit) -> ` +
    'if(bitTest(e.4, bit) AND before >= e.1 - {window:Int64}, greatest(began, before), began), ' +
    `begun, arrayPushFront(arrayPopBack(begun), e.1), [${bits}]), ${chain}, [${none}]))`
  )
}

/** Before any time, and far enough from the least number that a window can be taken from a time. */
const never = '-9000000000000000000'

/** Events of the first step with another value are not that step, and may still be a later one. */
const onlyFirstOf = (group: string): string =>
  `arrayMap(e -> if(bitTest(e.4, 0) AND e.5 != ${group}, tuple(e.1, e.2, e.3, bitAnd(e.4, toUInt16(65534)), e.5), e), _events)`

const groupOf = (by: Field): string => {
  const value = `concat('=', toString(${quoted(by.name)}))`
  return by.nullable ? `ifNull(${value}, '')` : value
}

const groupsOf = ({ steps, by }: Funnel, rows: readonly Row[]): FunnelAnswer['groups'] => {
  const groups = Map.groupBy(rows, (row) => (row._group === '' ? null : row._group.slice(1)))
  if (by === undefined && groups.size === 0) groups.set(null, [])
  if (groups.size > mostGroups)
    throw badParameter('by', `${by?.name} has more than ${mostGroups} values; filter with where`)
  return [...groups].map(([value, found]) => {
    const subjects = steps.map((_, index) =>
      found.reduce((sum, row) => (Number(row._reached) > index ? sum + Number(row._subjects) : sum), 0),
    )
    return {
      by: value,
      steps: steps.map((event, index) => ({
        event: event.type,
        subjects: subjects[index]!,
        fromPrevious: share(subjects[index]!, subjects[index - 1] ?? subjects[0]!),
        fromFirst: share(subjects[index]!, subjects[0]!),
      })),
    }
  })
}

const share = (part: number, whole: number): number =>
  whole === 0 ? 0 : Math.round((part / whole) * 10_000) / 10_000
