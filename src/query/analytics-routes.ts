import type * as z from 'zod'
import { type Route, route } from '../http/route.ts'

/** A question of `analytics/`: what it may be asked with, what it answers, and how. */
export interface AnalyticsQuestion<Parts> {
  /** Of the address: `/api/analytics/<name>`. */
  readonly name: string
  readonly summary: string
  /** `where[dimension]=value` arrives as `where: {dimension: value}`. */
  readonly parameters: z.ZodObject
  readonly answer: z.ZodType
  readonly run: (parts: Parts, query: never) => Promise<unknown>
}

export const analyticsRoutes = <Parts>(
  questions: readonly AnalyticsQuestion<Parts>[],
  parts: Parts,
): Route[] =>
  questions.map(({ name, summary, parameters, answer, run }) =>
    route({
      method: 'get',
      path: `/api/analytics/${name}`,
      tag: 'Analytics',
      summary,
      query: parameters,
      answers: { 200: { description: 'The answer, and as of when', schema: answer } },
      problems: [400, 503],
      handle: async ({ query }) => ({ json: await run(parts, query as never) }),
    }),
  )
