import * as z from 'zod'
import { EmbudoError } from '../define/error.ts'
import { pageOf, pageParameters } from './page.ts'
import { type Route, route } from './route.ts'

/** How the process and its parts are. */
export interface HealthOperations {
  health(): Promise<Health>
  /** False from the beginning of a stop on, and until every role has started. */
  isReady(): boolean
  metrics(): Promise<{ readonly contentType: string; readonly text: string }>
}

export interface SagaOperations {
  list(
    query: SagaQuery,
  ): Promise<{ readonly items: readonly SagaSummary[]; readonly nextCursor: string | null }>
  show(id: string): Promise<SagaWithTimeline | undefined>
}

export interface SagaQuery {
  readonly state: SagaState | undefined
  readonly type: string | undefined
  readonly subject: string | undefined
  readonly limit: number
  readonly cursor: string | undefined
}

interface SagaSummary {
  readonly id: string
  readonly type: string
  readonly version: number
  readonly subject: string
  readonly state: SagaState
  readonly startedAt: string
  readonly endedAt: string | null
}

interface SagaWithTimeline extends SagaSummary {
  readonly timeline: readonly {
    readonly at: string
    readonly step: string | null
    readonly what: string
    readonly attempt: number | null
    readonly error: string | null
  }[]
}

const partSchema = z.looseObject({
  status: z.enum(['ok', 'degraded', 'down']),
  detail: z.string().optional(),
})

const healthSchema = z
  .object({ status: z.enum(['ok', 'degraded', 'down']), parts: z.record(z.string(), partSchema) })
  .meta({ id: 'Health' })

export type Health = z.input<typeof healthSchema>

const stateSchema = z.object({ status: z.enum(['ok', 'not ready']) })

const healthExample = {
  status: 'ok',
  parts: {
    kafka: { status: 'ok' },
    registry: { status: 'ok' },
    postgres: { status: 'ok' },
    clickhouse: { status: 'ok' },
  },
} as const

const downExample = {
  status: 'down',
  parts: { ...healthExample.parts, kafka: { status: 'down', detail: 'no answer within 2000 ms' } },
} as const

export const healthRoutes = (operations: HealthOperations): Route[] => [
  route({
    method: 'get',
    path: '/health',
    tag: 'Operating',
    summary: 'How the parts are',
    answers: {
      200: { description: 'It serves, perhaps not everything', schema: healthSchema, example: healthExample },
      503: { description: 'It cannot serve', schema: healthSchema, example: downExample },
    },
    problems: [],
    handle: async () => {
      const health = await operations.health()
      return {
        status: health.status === 'down' ? 503 : 200,
        json: health,
        headers: { 'cache-control': 'no-store' },
      }
    },
  }),
  route({
    method: 'get',
    path: '/livez',
    tag: 'Operating',
    summary: 'Whether the process lives',
    answers: { 200: { description: 'It does', schema: stateSchema, example: { status: 'ok' } } },
    problems: [],
    handle: async () => ({ json: { status: 'ok' } }),
  }),
  route({
    method: 'get',
    path: '/readyz',
    tag: 'Operating',
    summary: 'Whether it wants to be sent requests',
    answers: {
      200: { description: 'It does', schema: stateSchema, example: { status: 'ok' } },
      503: {
        description: 'It is starting or stopping',
        schema: stateSchema,
        example: { status: 'not ready' },
      },
    },
    problems: [],
    handle: async () =>
      operations.isReady() ? { json: { status: 'ok' } } : { status: 503, json: { status: 'not ready' } },
  }),
  route({
    method: 'get',
    path: '/metrics',
    tag: 'Operating',
    summary: 'Metrics for Prometheus',
    answers: {
      200: {
        description: 'Prometheus text',
        contentType: 'text/plain',
        schema: z.string(),
        example: 'embudo_projection_lag_records{projection="lead_profile",topic="embudo.leads"} 0\n',
      },
    },
    problems: [],
    handle: operations.metrics,
  }),
]

const sagaStates = [
  'RUNNING',
  'WAITING',
  'COMPENSATING',
  'COMPLETED',
  'COMPENSATED',
  'COMPENSATION_FAILED',
  'ABORTED',
] as const

export type SagaState = (typeof sagaStates)[number]

const sagaSummarySchema = z
  .looseObject({
    id: z.string(),
    type: z.string(),
    version: z.int(),
    subject: z.string(),
    state: z.enum(sagaStates),
    startedAt: z.string().meta({ format: 'date-time' }),
    endedAt: z.string().nullable().meta({ format: 'date-time' }),
  })
  .meta({ id: 'SagaSummary' })

const sagaSchema = sagaSummarySchema
  .extend({
    timeline: z.array(
      z.object({
        at: z.string().meta({ format: 'date-time' }),
        step: z.string().nullable(),
        what: z.string(),
        attempt: z.int().nullable(),
        error: z.string().nullable(),
      }),
    ),
  })
  .meta({ id: 'Saga' })

const sagaExample = {
  ...{ id: 'enrollment:E-1', type: 'enrollment', version: 1, subject: 'E-1', state: 'WAITING' },
  ...{ startedAt: '2026-11-20T10:00:00.000Z', endedAt: null },
}

const timelineExample = [
  { at: '2026-11-20T10:00:00.000Z', step: null, what: 'started', attempt: null, error: null },
  { at: '2026-11-20T10:00:00.120Z', step: 'reserve_seat', what: 'called', attempt: 1, error: null },
]

export const sagaRoutes = (operations: SagaOperations): Route[] => [
  route({
    method: 'get',
    path: '/api/sagas',
    tag: 'Sagas',
    summary: 'Sagas, the latest first',
    query: z.strictObject({
      state: z.enum(sagaStates).optional().meta({ description: 'Sagas in this state.' }),
      type: z.string().optional().meta({ description: 'Sagas of this name.', example: 'enrollment' }),
      subject: z.string().optional().meta({ description: 'Sagas of this subject.', example: 'E-1' }),
      ...pageParameters,
    }),
    answers: {
      200: {
        description: 'A page of them',
        schema: pageOf(sagaSummarySchema),
        example: { items: [sagaExample], nextCursor: null },
      },
    },
    problems: [400, 503],
    handle: async ({ query: { state, type, subject, limit, cursor } }) => ({
      json: await operations.list({ state, type, subject, limit, cursor }),
    }),
  }),
  route({
    method: 'get',
    path: '/api/sagas/{id}',
    tag: 'Sagas',
    summary: 'A saga with its timeline',
    params: z.object({
      id: z.string().meta({ description: 'As the list names it.', example: 'enrollment:E-1' }),
    }),
    answers: {
      200: {
        description: 'The saga',
        schema: sagaSchema,
        example: { ...sagaExample, timeline: timelineExample },
      },
    },
    problems: [404, 503],
    handle: async ({ params: { id } }) => {
      const saga = await operations.show(id)
      if (saga === undefined) throw new EmbudoError('not_found', `there is no saga ${id}`)
      return { json: saga }
    },
  }),
]
