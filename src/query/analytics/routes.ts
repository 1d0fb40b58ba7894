import type { ClickHouseClient } from '@clickhouse/client'
import type { Catalog } from '../../define/catalog.ts'
import { type Route, route } from '../../http/route.ts'
import type { TableOf } from './ask.ts'
import { funnel, funnelAnswer, funnelParameters, parseFunnel } from './funnel.ts'
import { parseTimeseries, timeseries, timeseriesAnswer, timeseriesParameters } from './timeseries.ts'

export interface AnalyticsParts {
  readonly clickhouse: ClickHouseClient
  readonly catalog: Catalog
  /** Which tables are read. */
  readonly tables: () => Promise<{ readonly of: TableOf }>
  readonly nowMs?: () => number
}

const timeseriesExample = {
  interval: 'day',
  series: [{ by: null, points: [{ time: '2026-11-20T00:00:00.000Z', value: 120 }] }],
  asOf: '2026-11-20T10:00:00.000Z',
}

const funnelExample = {
  window: '7d',
  groups: [
    {
      by: null,
      steps: [
        { event: 'lead_registered', subjects: 200, fromPrevious: 1, fromFirst: 1 },
        { event: 'webinar_attended', subjects: 120, fromPrevious: 0.6, fromFirst: 0.6 },
        { event: 'conversion_completed', subjects: 30, fromPrevious: 0.25, fromFirst: 0.15 },
      ],
    },
  ],
  asOf: '2026-11-20T10:00:00.000Z',
}

/** One route for each question. */
export const analyticsRoutes = ({
  clickhouse,
  catalog,
  tables,
  nowMs = Date.now,
}: AnalyticsParts): Route[] => {
  const types = [...catalog.events.keys()].toSorted()
  return [
    route({
      method: 'get',
      path: '/api/analytics/timeseries',
      tag: 'Analytics',
      summary: 'A measure of an event over time',
      description: 'Empty intervals are zero. `asOf` says when the newest event in the answer was appended.',
      query: timeseriesParameters.extend({
        event: timeseriesParameters.shape.event.meta({ enum: types }),
        interval: timeseriesParameters.shape.interval.meta({
          description: 'How long a point lasts; weeks begin on Monday.',
        }),
      }),
      answers: {
        200: {
          description: 'One series, or one for each value of `by`',
          schema: timeseriesAnswer,
          example: timeseriesExample,
        },
      },
      problems: [400, 503],
      handle: async ({ query }) => {
        const now = nowMs()
        const asked = parseTimeseries(query, catalog, now)
        return { json: await timeseries(clickhouse, (await tables()).of, asked, now) }
      },
    }),
    route({
      method: 'get',
      path: '/api/analytics/funnel',
      tag: 'Analytics',
      summary: 'How many subjects got how far',
      description:
        'Counts subjects whose events follow the steps in order, all within the window from the first. Events of the same millisecond are in the order of the log.',
      query: funnelParameters.extend({
        steps: funnelParameters.shape.steps.meta({ pattern: stepsPattern(types) }),
      }),
      answers: {
        200: {
          description: 'One funnel, or one for each value of `by`',
          schema: funnelAnswer,
          example: funnelExample,
        },
      },
      problems: [400, 503],
      handle: async ({ query }) => {
        const now = nowMs()
        const asked = parseFunnel(query, catalog, now)
        return { json: await funnel(clickhouse, (await tables()).of, asked, now) }
      },
    }),
  ]
}

const stepsPattern = (types: readonly string[]): string => {
  const type = `(${types.join('|')})`
  return `^${type}(,${type}){1,9}$`
}
