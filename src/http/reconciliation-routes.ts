import * as z from 'zod'
import { pageOf } from './page.ts'
import { type Route, route } from './route.ts'

export interface ReconciliationOperations {
  /** Throws `unknown_projection`, `unknown_topic`. */
  reconcile(filter: {
    /** With or without the prefix of topics. */
    readonly topic: string | undefined
    readonly projection: string | undefined
  }): Promise<Omit<z.input<typeof reconciliationSchema>, 'nextCursor'>>
}

const mismatchSchema = z
  .object({
    code: z
      .enum([
        'records_unaccounted',
        'records_counted_twice',
        'dead_letters_differ',
        'log_beginning_lost',
        'log_end_lost',
        'rows_missing',
        'rows_doubled',
        'rows_unexpected',
      ])
      .meta({ description: 'What does not add up.' }),
    records: z.number().meta({ description: 'By how many.' }),
    detail: z.string(),
  })
  .meta({ id: 'Mismatch' })

const partitionSchema = z
  .object({
    projection: z.string().meta({ description: 'A projection, or `saga:` and the name of a saga.' }),
    kind: z.enum(['read model', 'tally', 'event tables', 'saga']),
    generation: z.int(),
    state: z.enum(['live', 'building', 'previous']).meta({ description: 'Of the generation.' }),
    topic: z.string(),
    partition: z.int(),
    appended: z.number().meta({ description: 'Records in the log.' }),
    read: z.number().meta({ description: 'Passed by the reader since it began to count.' }),
    applied: z.number(),
    notOfInterest: z.number(),
    duplicates: z.number(),
    deadLettered: z.number().meta({ description: 'Parked, and not applied since.' }),
    markers: z.number().meta({ description: 'Offsets that hold no record.' }),
    pending: z.number().meta({ description: 'In the log, and not read yet.' }),
    holes: z.number().meta({ description: 'Read, and nothing became of them: 0 if all is well.' }),
    uncounted: z.number().meta({ description: 'Offsets before the first one that was counted.' }),
    stored: z
      .object({ rows: z.number(), offsets: z.number() })
      .nullable()
      .meta({ description: 'Rows in ClickHouse up to the position, and the distinct offsets in them.' }),
    mismatches: z.array(mismatchSchema).readonly(),
  })
  .meta({ id: 'ReconciledPartition' })

const reconciliationSchema = pageOf(partitionSchema)
  .extend({
    items: z.array(partitionSchema).readonly(),
    addsUp: z.boolean(),
    asOf: z.string().meta({ format: 'date-time' }),
    notCounted: z
      .string()
      .nullable()
      .meta({ description: 'Why the rows in ClickHouse were not counted; null where they were.' }),
  })
  .meta({ id: 'Reconciliation' })

const example = {
  addsUp: true,
  asOf: '2026-11-20T10:00:00.000Z',
  notCounted: null,
  items: [
    {
      ...{ projection: 'events', kind: 'event tables', generation: 1, state: 'live' },
      ...{ topic: 'embudo.leads', partition: 3, appended: 1_042, read: 1_030, applied: 1_021 },
      ...{ notOfInterest: 0, duplicates: 7, deadLettered: 2, markers: 0, pending: 12, holes: 0 },
      ...{ uncounted: 0, stored: { rows: 1_021, offsets: 1_021 }, mismatches: [] },
    },
  ],
  nextCursor: null,
} as const

export const reconciliationRoutes = ({ reconcile }: ReconciliationOperations): Route[] => [
  route({
    method: 'get',
    path: '/api/reconciliation',
    tag: 'Operating',
    summary: 'Whether every record of the log has become something in every projection',
    description:
      'Records read = applied + not of interest + duplicates + dead-lettered + markers, per topic, partition and projection; ' +
      'and what ClickHouse and the dead letters hold by their own count. Figures of one answer belong together, also while everything is being written.',
    query: z.strictObject({
      topic: z.string().optional().meta({ description: 'Of this topic alone.', example: 'leads' }),
      projection: z.string().optional().meta({
        description: 'Of this projection alone, or of `saga:` and the name of a saga.',
        example: 'lead_profile',
      }),
    }),
    answers: {
      200: { description: 'What adds up, and what does not', schema: reconciliationSchema, example },
    },
    problems: [400, 404, 503],
    handle: async ({ query: { topic, projection } }) => ({
      json: { ...(await reconcile({ topic, projection })), nextCursor: null },
    }),
  }),
]
