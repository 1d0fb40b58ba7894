import type { ClickHouseClient } from '@clickhouse/client'
import type { Catalog } from '../../define/catalog.ts'
import { type Route, route } from '../../http/route.ts'
import { funnel, funnelAnswer, funnelParameters, parseFunnel } from './funnel.ts'
import { parseTimeseries, timeseries, timeseriesAnswer, timeseriesParameters } from './timeseries.ts'

export interface AnalyticsParts {
  readonly clickhouse: ClickHouseClient
  readonly catalog: Catalog
  readonly nowMs?: () => number
}

/** One route for each question. */
export const analyticsRoutes = ({ clickhouse, catalog, nowMs = Date.now }: AnalyticsParts): Route[] => [
  route({
    method: 'get',
    path: '/api/analytics/timeseries',
    tag: 'Analytics',
    summary: 'A measure of an event over time',
    description: 'Empty intervals are zero. `asOf` says when the newest event in the answer was appended.',
    query: timeseriesParameters,
    answers: { 200: { description: 'One series, or one for each value of `by`', schema: timeseriesAnswer } },
    problems: [400, 503],
    handle: async ({ query }) => {
      const now = nowMs()
      return { json: await timeseries(clickhouse, parseTimeseries(query, catalog, now), now) }
    },
  }),
  route({
    method: 'get',
    path: '/api/analytics/funnel',
    tag: 'Analytics',
    summary: 'How many subjects got how far',
    description:
      'Counts subjects whose events follow the steps in order, all within the window from the first. Events of the same millisecond are in the order of the log.',
    query: funnelParameters,
    answers: { 200: { description: 'One funnel, or one for each value of `by`', schema: funnelAnswer } },
    problems: [400, 503],
    handle: async ({ query }) => {
      const now = nowMs()
      return { json: await funnel(clickhouse, parseFunnel(query, catalog, now), now) }
    },
  }),
]
