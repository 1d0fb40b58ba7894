import * as z from 'zod'
import { EmbudoError } from '../define/error.ts'
import { pageOf } from './page.ts'
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

const secondsSchema = z.number().nullable().meta({
  description:
    'How long the first record that is not applied has been in the log; null where none waits, or it is not known.',
})

const positionSchema = z.object({
  topic: z.string(),
  partition: z.int(),
  nextOffset: z.number().meta({ description: 'The first record that is not applied.' }),
  end: z.number().meta({ description: 'One past the last record of the log.' }),
  lag: z.number(),
  state: z.string(),
  oldestUnappliedSeconds: secondsSchema,
  worker: z.string().nullable().meta({ description: 'The process that feeds it.' }),
  error: z.string().nullable(),
})

const maxPerSecond = z
  .int()
  .min(1)
  .max(1_000_000_000)
  .nullable()
  .meta({ description: 'Records a second, over all partitions; null is as fast as it goes.' })

const rebuildSchema = z.object({
  state: z.enum([
    'replaying',
    'paused',
    'catching up',
    'caught up',
    'verified',
    'differs',
    'failed',
    'stalled',
  ]),
  generation: z.int(),
  version: z.int(),
  percent: z.number(),
  eventsPerSecond: z.number().meta({ description: 'Of the last seconds.' }),
  etaSeconds: z.number().nullable(),
  maxPerSecond,
  switch: z.enum(['auto', 'manual']).meta({ description: 'Whether it becomes the live one by itself.' }),
  error: z.string().nullable(),
})

const states = z.enum(['building', 'live', 'previous', 'retired'])

const generationSummarySchema = z.object({
  generation: z.int(),
  version: z.int(),
  state: states.meta({ description: 'The previous one is fed on, to go back to.' }),
  paused: z.boolean(),
  lag: z.number(),
  createdAt: z.string().meta({ format: 'date-time' }),
  liveAt: z.string().nullable().meta({ format: 'date-time' }),
  error: z
    .string()
    .nullable()
    .meta({ description: 'Why it cannot be looked after, or why a partition of it has stopped.' }),
  verified: z
    .object({ at: z.string().meta({ format: 'date-time' }), rows: z.number(), differences: z.number() })
    .nullable()
    .meta({ description: 'How it compared with the live one, and when.' }),
})

const projectionSchema = z
  .object({
    name: z.string(),
    kind: z.enum(['read model', 'tally', 'event tables']),
    version: z.int(),
    state: z.enum(['live', 'paused', 'rebuilding', 'failed', 'stalled']).meta({
      description:
        'failed: a partition has stopped and says why; stalled: one does not move, with records to apply.',
    }),
    oldestUnappliedSeconds: secondsSchema,
    lag: z.number().meta({ description: 'Records of the log that are not applied yet.' }),
    positions: z.array(positionSchema).readonly(),
    rebuild: rebuildSchema.nullable(),
    generations: z.array(generationSummarySchema).readonly(),
  })
  .meta({ id: 'Projection' })

const projectionExample = {
  ...{
    name: 'lead_profile',
    kind: 'read model',
    version: 1,
    state: 'rebuilding',
    lag: 12,
    oldestUnappliedSeconds: 0,
  },
  positions: [
    {
      ...{ topic: 'embudo.leads', partition: 3, nextOffset: 1_030, end: 1_042, lag: 12 },
      ...{ state: 'running', oldestUnappliedSeconds: 0 },
      ...{ worker: '018f5c1e-7d3a-7f1b-8c55-0a1b2c3d4e5f', error: null },
    },
  ],
  rebuild: {
    ...{
      state: 'replaying',
      generation: 2,
      version: 1,
      percent: 40,
      eventsPerSecond: 85_000,
      etaSeconds: 12,
    },
    ...{ maxPerSecond: null, switch: 'auto', error: null },
  },
  generations: [
    {
      ...{ generation: 1, version: 1, state: 'live', paused: false, lag: 12, error: null, verified: null },
      ...{ createdAt: '2026-11-01T09:00:00.000Z', liveAt: '2026-11-01T09:00:00.000Z' },
    },
    {
      ...{ generation: 2, version: 1, state: 'building', paused: false, lag: 1_020_000, error: null },
      ...{ createdAt: '2026-11-20T10:00:00.000Z', liveAt: null, verified: null },
    },
  ],
}

const generationSchema = z
  .object({
    name: z.string(),
    generation: z.int(),
    version: z.int(),
    state: states,
    paused: z.boolean(),
    maxPerSecond: z.int().nullable(),
  })
  .meta({ id: 'Generation' })

const generationExample = (generation: number, state: z.input<typeof states>, more: object = {}) => ({
  ...{ name: 'lead_profile', generation, version: 1, state, paused: false, maxPerSecond: null },
  ...more,
})

const differenceSchema = z.looseObject({
  key: z.string(),
  live: z.looseObject({}).nullable(),
  other: z.looseObject({}).nullable(),
  columns: z
    .array(z.string())
    .readonly()
    .meta({ description: 'Those that differ; none where a row is missing.' }),
})

const comparedSchema = z.object({ generation: z.int(), version: z.int() })

/** A kind of projection may say more. */
const verifiedSchema = z
  .looseObject({
    at: z.string().meta({ format: 'date-time' }),
    live: comparedSchema,
    other: comparedSchema,
    rows: z.number(),
    differences: z.number(),
    examples: z.array(differenceSchema).readonly().meta({ description: 'At most 20.' }),
    columns: z
      .record(z.string(), z.number())
      .optional()
      .meta({ description: 'In how many rows each column differs.' }),
    onlyLive: z.number().optional().meta({ description: 'Rows that only the live one has.' }),
    onlyOther: z.number().optional(),
    otherColumns: z
      .array(z.string())
      .readonly()
      .optional()
      .meta({ description: 'Columns that are in one of two versions only, or of another type there.' }),
    deadLettered: z.number().optional().meta({
      description: 'Differences of subjects that wait behind a dead letter in one of the two only.',
    }),
    notCompared: z
      .number()
      .optional()
      .meta({ description: 'Rows with events that one of another version has not applied.' }),
    positions: z
      .record(z.string(), z.number())
      .optional()
      .meta({ description: 'The positions that they were compared at, by <topic>:<partition>.' }),
  })
  .meta({ id: 'Verified' })

const verifiedExample = {
  name: 'lead_profile',
  at: '2026-11-20T10:05:00.000Z',
  live: { generation: 1, version: 1 },
  other: { generation: 2, version: 1 },
  ...{ rows: 100_000, differences: 1, onlyLive: 0, onlyOther: 0, deadLettered: 0, notCompared: 0 },
  columns: { conversions: 1 },
  otherColumns: [],
  examples: [{ key: 'L-7', live: { conversions: 3 }, other: { conversions: 2 }, columns: ['conversions'] }],
  positions: { 'embudo.leads:3': 1_042 },
}

const params = z.object({
  name: z.string().meta({ description: 'Of a projection.', example: 'lead_profile' }),
})

const beginSchema = z
  .strictObject({
    maxPerSecond: maxPerSecond.optional(),
    switch: z.enum(['auto', 'manual']).optional().meta({ description: 'Default auto: once found equal.' }),
    force: z
      .boolean()
      .optional()
      .meta({ description: 'Also of a topic that has lost its beginning: rows are made of the rest.' }),
  })
  .meta({ id: 'BeginRebuild' })

const resumeSchema = z.strictObject({ maxPerSecond: maxPerSecond.optional() }).meta({ id: 'Resume' })

const dropSchema = z
  .strictObject({
    generation: z.enum(['previous', 'building']).optional().meta({ description: 'Default previous.' }),
  })
  .meta({ id: 'Drop' })

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
