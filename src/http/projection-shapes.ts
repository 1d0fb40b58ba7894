import * as z from 'zod'

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

export const projectionSchema = z
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

export const projectionExample = {
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

export const generationSchema = z
  .object({
    name: z.string(),
    generation: z.int(),
    version: z.int(),
    state: states,
    paused: z.boolean(),
    maxPerSecond: z.int().nullable(),
  })
  .meta({ id: 'Generation' })

export const generationExample = (generation: number, state: z.input<typeof states>, more: object = {}) => ({
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
export const verifiedSchema = z
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

export const verifiedExample = {
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

export const params = z.object({
  name: z.string().meta({ description: 'Of a projection.', example: 'lead_profile' }),
})

export const beginSchema = z
  .strictObject({
    maxPerSecond: maxPerSecond.optional(),
    switch: z.enum(['auto', 'manual']).optional().meta({ description: 'Default auto: once found equal.' }),
    force: z
      .boolean()
      .optional()
      .meta({ description: 'Also of a topic that has lost its beginning: rows are made of the rest.' }),
  })
  .meta({ id: 'BeginRebuild' })

export const resumeSchema = z.strictObject({ maxPerSecond: maxPerSecond.optional() }).meta({ id: 'Resume' })

export const dropSchema = z
  .strictObject({
    generation: z.enum(['previous', 'building']).optional().meta({ description: 'Default previous.' }),
  })
  .meta({ id: 'Drop' })
