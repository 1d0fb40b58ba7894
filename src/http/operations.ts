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

export interface ProjectionOperations {
  list(): Promise<readonly z.input<typeof projectionSchema>[]>
  /** Throws `unknown_projection`, `rebuild_running`. */
  rebuild(name: string): Promise<{ readonly generation: number }>
}

export interface SagaOperations {
  list(query: SagaQuery): Promise<{ readonly items: readonly Saga[]; readonly nextCursor: string | null }>
  show(id: string): Promise<Saga | undefined>
}

export interface SagaQuery {
  readonly state: SagaState | undefined
  readonly type: string | undefined
  readonly subject: string | undefined
  readonly limit: number
  readonly cursor: string | undefined
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

export const healthRoutes = (operations: HealthOperations): Route[] => [
  route({
    method: 'get',
    path: '/health',
    tag: 'Operating',
    summary: 'How the parts are',
    answers: {
      200: { description: 'It serves, perhaps not everything', schema: healthSchema, example: healthExample },
      503: { description: 'It cannot serve', schema: healthSchema },
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
    answers: { 200: { description: 'It does', schema: stateSchema } },
    problems: [],
    handle: async () => ({ json: { status: 'ok' } }),
  }),
  route({
    method: 'get',
    path: '/readyz',
    tag: 'Operating',
    summary: 'Whether it wants to be sent requests',
    answers: {
      200: { description: 'It does', schema: stateSchema },
      503: { description: 'It is starting or stopping', schema: stateSchema },
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
    answers: { 200: { description: 'Prometheus text', contentType: 'text/plain', schema: z.string() } },
    problems: [],
    handle: operations.metrics,
  }),
]

export const projectionSchema = z
  .looseObject({
    name: z.string(),
    kind: z.string(),
    version: z.int(),
    state: z.string(),
    lag: z.number().meta({ description: 'Records of the log that are not applied yet.' }),
    positions: z.array(z.looseObject({ topic: z.string(), partition: z.int(), nextOffset: z.number() })),
    rebuild: z
      .looseObject({
        state: z.string(),
        percent: z.number(),
        eventsPerSecond: z.number(),
        etaSeconds: z.number().nullable(),
      })
      .nullable(),
  })
  .meta({ id: 'Projection' })

export const projectionRoutes = (operations: ProjectionOperations): Route[] => [
  route({
    method: 'get',
    path: '/api/projections',
    tag: 'Projections',
    summary: 'Where every projection stands',
    answers: { 200: { description: 'All of them', schema: pageOf(projectionSchema) } },
    problems: [503],
    handle: async () => ({ json: { items: await operations.list(), nextCursor: null } }),
  }),
  route({
    method: 'post',
    path: '/api/projections/{name}/rebuild',
    tag: 'Projections',
    summary: 'Build a read model anew from the log, beside the one that is read',
    params: z.object({ name: z.string() }),
    answers: {
      202: { description: 'It has begun', schema: z.object({ name: z.string(), generation: z.int() }) },
    },
    problems: [404, 409, 503],
    handle: async ({ params: { name } }) => ({
      status: 202,
      json: { name, ...(await operations.rebuild(name)) },
    }),
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

const sagaSchema = z
  .object({
    id: z.string(),
    type: z.string(),
    version: z.int(),
    subject: z.string(),
    state: z.enum(sagaStates),
    startedAt: z.string().meta({ format: 'date-time' }),
    endedAt: z.string().nullable().meta({ format: 'date-time' }),
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

export type Saga = z.input<typeof sagaSchema>

export const sagaRoutes = (operations: SagaOperations): Route[] => [
  route({
    method: 'get',
    path: '/api/sagas',
    tag: 'Sagas',
    summary: 'Sagas, the latest first',
    query: z.strictObject({
      state: z.enum(sagaStates).optional(),
      type: z.string().optional(),
      subject: z.string().optional(),
      ...pageParameters,
    }),
    answers: { 200: { description: 'A page of them', schema: pageOf(sagaSchema) } },
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
    params: z.object({ id: z.string() }),
    answers: { 200: { description: 'The saga', schema: sagaSchema } },
    problems: [404, 503],
    handle: async ({ params: { id } }) => {
      const saga = await operations.show(id)
      if (saga === undefined) throw new EmbudoError('not_found', `there is no saga ${id}`)
      return { json: saga }
    },
  }),
]
