import type * as z from 'zod'
import { EmbudoError } from '../define/error.ts'
import { pageOf } from './page.ts'
import {
  beginSchema,
  dropSchema,
  generationExample,
  generationSchema,
  params,
  projectionExample,
  projectionSchema,
  resumeSchema,
  verifiedExample,
  verifiedSchema,
} from './projection-shapes.ts'
import { type Route, route } from './route.ts'

export interface ProjectionOperations {
  list(): Promise<readonly z.input<typeof projectionSchema>[]>
  rebuild(name: string, options: Begin): Promise<GenerationItem>
  verify(name: string, signal: AbortSignal): Promise<object>
  switch(name: string): Promise<GenerationItem>
  rollback(name: string): Promise<GenerationItem>
  pause(name: string): Promise<GenerationItem>
  resume(name: string, options: { readonly maxPerSecond?: number | null }): Promise<GenerationItem>
  drop(name: string, which: 'previous' | 'building'): Promise<GenerationItem>
}

interface Begin {
  readonly maxPerSecond?: number | null
  readonly switchesItself: boolean
  readonly force: boolean
}

type GenerationItem = Omit<z.input<typeof generationSchema>, 'name'>

/** A comparison reads the whole model twice. */
const verifyPatienceMs = 30 * 60_000

/** What reading a body may be answered with. */
const problemsOfBodies = [400, 408, 413, 415, 429]

export const projectionRoutes = (operations: ProjectionOperations): Route[] => [
  route({
    method: 'get',
    path: '/api/projections',
    tag: 'Projections',
    summary: 'Where every projection stands',
    answers: {
      200: {
        description: 'All of them',
        schema: pageOf(projectionSchema),
        example: { items: [projectionExample], nextCursor: null },
      },
    },
    problems: [503],
    handle: async () => ({ json: { items: await operations.list(), nextCursor: null } }),
  }),
  route({
    method: 'post',
    path: '/api/projections/{name}/rebuild',
    tag: 'Projections',
    summary: 'Build a projection anew from the log, beside what is read',
    description:
      'It is compared with what is read once it has caught up, and becomes that when it is equal. The generation before it stays to go back to.',
    params,
    ...takes(beginSchema, { maxPerSecond: 20_000, switch: 'manual' }),
    answers: {
      202: {
        description: 'It has begun',
        schema: generationSchema,
        example: generationExample(2, 'building', { maxPerSecond: 20_000 }),
      },
    },
    problems: [...problemsOfBodies, 404, 409, 503],
    handle: async ({ params: { name }, body }) => {
      const { switch: how = 'auto', maxPerSecond, force = false } = valid(beginSchema, body)
      const options = {
        switchesItself: how === 'auto',
        force,
        ...(maxPerSecond === undefined ? {} : { maxPerSecond }),
      }
      return { status: 202, json: { name, ...(await operations.rebuild(name, options)) } }
    },
  }),
  route({
    method: 'post',
    path: '/api/projections/{name}/verify',
    tag: 'Projections',
    summary: 'Compare what is read with what was rebuilt, at equal positions',
    description:
      'With the generation that is building, else with the previous one. Nothing stands still meanwhile.',
    params,
    answers: { 200: { description: 'What was found', schema: verifiedSchema, example: verifiedExample } },
    problems: [404, 409, 503],
    handle: async ({ params: { name } }) => ({
      json: { name, ...(await operations.verify(name, AbortSignal.timeout(verifyPatienceMs))) },
    }),
  }),
  route({
    method: 'post',
    path: '/api/projections/{name}/switch',
    tag: 'Projections',
    summary: 'Let the rebuilt generation be what is read',
    params,
    answers: {
      200: {
        description: 'What is read now',
        schema: generationSchema,
        example: generationExample(2, 'live'),
      },
    },
    problems: [404, 409, 503],
    handle: async ({ params: { name } }) => ({ json: { name, ...(await operations.switch(name)) } }),
  }),
  route({
    method: 'post',
    path: '/api/projections/{name}/rollback',
    tag: 'Projections',
    summary: 'Let the generation from before be what is read again',
    params,
    answers: {
      200: {
        description: 'What is read now',
        schema: generationSchema,
        example: generationExample(1, 'live'),
      },
    },
    problems: [404, 409, 503],
    handle: async ({ params: { name } }) => ({ json: { name, ...(await operations.rollback(name)) } }),
  }),
  route({
    method: 'post',
    path: '/api/projections/{name}/pause',
    tag: 'Projections',
    summary: 'Let a rebuild rest; where there is none, what is read is no longer fed',
    params,
    answers: {
      200: {
        description: 'What rests',
        schema: generationSchema,
        example: generationExample(2, 'building', { paused: true }),
      },
    },
    problems: [404, 409, 503],
    handle: async ({ params: { name } }) => ({ json: { name, ...(await operations.pause(name)) } }),
  }),
  route({
    method: 'post',
    path: '/api/projections/{name}/resume',
    tag: 'Projections',
    summary: 'Feed it again, at another rate where one is given',
    params,
    ...takes(resumeSchema, { maxPerSecond: null }),
    answers: {
      200: {
        description: 'What goes on',
        schema: generationSchema,
        example: generationExample(2, 'building'),
      },
    },
    problems: [...problemsOfBodies, 404, 409, 503],
    handle: async ({ params: { name }, body }) => {
      const { maxPerSecond } = valid(resumeSchema, body)
      const options = maxPerSecond === undefined ? {} : { maxPerSecond }
      return { json: { name, ...(await operations.resume(name, options)) } }
    },
  }),
  route({
    method: 'post',
    path: '/api/projections/{name}/drop',
    tag: 'Projections',
    summary: 'Let the previous generation go, or give up a rebuild',
    params,
    ...takes(dropSchema, { generation: 'building' }),
    answers: {
      200: { description: 'What goes', schema: generationSchema, example: generationExample(2, 'retired') },
    },
    problems: [...problemsOfBodies, 404, 409, 503],
    handle: async ({ params: { name }, body }) => {
      const { generation = 'previous' } = valid(dropSchema, body)
      return { json: { name, ...(await operations.drop(name, generation)) } }
    },
  }),
]

/** A body that may be left out. */
function takes(schema: z.ZodType, example: object) {
  return {
    takesJson: 'optional' as const,
    document: { requestBody: { required: false, content: { 'application/json': { schema, example } } } },
  }
}

const valid = <T>(schema: z.ZodType<T>, body: unknown): T => {
  const result = schema.safeParse(body === undefined ? {} : body)
  if (result.success) return result.data
  const { path, message } = result.error.issues[0]!
  throw new EmbudoError('bad_parameter', `expected other options: ${message}`, {
    facts: { field: `/${path.join('/')}` },
  })
}
