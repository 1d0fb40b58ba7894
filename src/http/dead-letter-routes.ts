import * as z from 'zod'
import { EmbudoError } from '../define/error.ts'
import { pageOf, pageParameters } from './page.ts'
import { type Route, route } from './route.ts'

export interface DeadLetterOperations {
  list(
    query: DeadLetterQuery,
  ): Promise<{ readonly items: readonly DeadLetterItem[]; readonly nextCursor: string | null }>
  /**
   * All throw `not_found`; those that change something, `letter_settled`; retry also `letter_of_other_version`, the
   * others `letter_applied_elsewhere`.
   */
  show(id: string): Promise<DeadLetterWhole>
  retry(id: string): Promise<DeadLetterItem>
  edit(
    id: string,
    edit: {
      readonly type?: string | undefined
      readonly data: Readonly<Record<string, unknown>>
      readonly reason?: string | undefined
    },
  ): Promise<DeadLetterItem>
  discard(id: string, reason?: string): Promise<DeadLetterItem>
}

interface DeadLetterQuery {
  readonly projection?: string | undefined
  readonly topic?: string | undefined
  readonly subject?: string | undefined
  readonly code?: string | undefined
  readonly state?: DeadLetterState | undefined
  readonly poisonOnly?: boolean | undefined
  readonly limit: number
  readonly cursor?: string | undefined
}

const states = ['open', 'deciding', 'retrying', 'applied', 'discarded'] as const
type DeadLetterState = (typeof states)[number]

const itemSchema = z
  .object({
    id: z.string(),
    projection: z.string(),
    generation: z.int(),
    topic: z.string(),
    partition: z.int(),
    offset: z.number(),
    subject: z.string().meta({ description: 'Whose record it is: later ones of it wait behind.' }),
    type: z.string().nullable(),
    cause: z.enum(['poison', 'behind']).meta({ description: 'behind: it waits for one before it.' }),
    code: z.string().nullable(),
    error: z.string().nullable().meta({ description: 'Why it could not be applied.' }),
    state: z.enum(states).meta({
      description:
        'deciding: a decision is on its way into the log, or may be; retrying: it is written with the next flush.',
    }),
    attempts: z.int(),
    waiting: z.int().meta({ description: 'How many of the same subject wait behind it.' }),
    parkedAt: z.string().meta({ format: 'date-time' }),
    settledAt: z.string().nullable().meta({ format: 'date-time' }),
  })
  .meta({ id: 'DeadLetter' })

type DeadLetterItem = z.input<typeof itemSchema>

const wholeSchema = itemSchema
  .extend({
    appendedAt: z.string().meta({ format: 'date-time' }),
    key: z.string().nullable().meta({ description: "The record's key as text." }),
    value: z.string().nullable().meta({ description: "The record's value as the log has it, in base64." }),
    headers: z.record(z.string(), z.string()),
    data: z.record(z.string(), z.unknown()).nullable().meta({
      description: 'Where its bytes can be read; personal fields say [personal].',
    }),
  })
  .meta({ id: 'DeadLetterWhole' })

type DeadLetterWhole = z.input<typeof wholeSchema>

const itemExample = {
  ...{
    id: '17',
    projection: 'lead_profile',
    generation: 2,
    topic: 'embudo.leads',
    partition: 3,
    offset: 1_042,
  },
  ...{ subject: 'L-1', type: 'conversion_completed', cause: 'poison' as const, code: 'fold_failed' },
  error: 'lead_profile cannot apply conversion_completed at embudo.leads:3:1042: unknown currency',
  ...{
    state: 'open' as const,
    attempts: 1,
    waiting: 2,
    parkedAt: '2026-11-20T10:00:00.000Z',
    settledAt: null,
  },
}

const wholeExample = {
  ...itemExample,
  ...{
    appendedAt: '2026-11-20T10:00:00.000Z',
    key: 'L-1',
    value: 'AAAAAA4GTC0x',
    headers: { ce_id: '018f5c1e' },
  },
  data: { leadId: 'L-1', conversionType: 'course', value: '49.00', currency: 'XXX' },
}

const params = z.object({ id: z.string().meta({ description: 'As the list names it.', example: '17' }) })

const editSchema = z.strictObject({
  type: z.string().optional().meta({ description: "Where the record's own cannot be told." }),
  data: z.record(z.string(), z.unknown()).meta({
    description: "All of the event's data; a personal field that says [personal] stays as it is.",
  }),
  reason: z.string().max(1_000).optional(),
})

const editBody = {
  required: true,
  content: {
    'application/json': {
      schema: editSchema,
      example: { data: { ...wholeExample.data, currency: 'EUR' }, reason: 'the currency was mistyped' },
    },
  },
}

const reasonQuery = z.strictObject({
  reason: z.string().max(1_000).optional().meta({ description: 'Kept with the decision.' }),
})

const tag = 'Dead letters'
const decided = {
  200: {
    description: 'The letter as it is now',
    schema: itemSchema,
    example: { ...itemExample, state: 'applied' },
  },
}

export const deadLetterRoutes = (operations: DeadLetterOperations): Route[] => [
  route({
    method: 'get',
    path: '/api/dead-letters',
    tag,
    summary: 'Records that a projection could not apply, and what waits behind them; the oldest first',
    query: z.strictObject({
      projection: z.string().optional().meta({ description: 'Of this projection.', example: 'lead_profile' }),
      topic: z.string().optional().meta({ description: 'Of this topic.', example: 'embudo.leads' }),
      subject: z.string().optional().meta({ description: 'Of this subject.', example: 'L-1' }),
      code: z
        .string()
        .optional()
        .meta({ description: 'That failed with this code.', example: 'fold_failed' }),
      state: z.enum(states).optional().meta({ description: 'Default: those that are not settled.' }),
      poisonOnly: z
        .enum(['true', 'false'])
        .optional()
        .meta({ description: 'Without those that only wait behind another.' }),
      ...pageParameters,
    }),
    answers: {
      200: {
        description: 'A page of them',
        schema: pageOf(itemSchema),
        example: { items: [itemExample], nextCursor: null },
      },
    },
    problems: [400, 503],
    handle: async ({ query: { poisonOnly, ...query } }) => ({
      json: await operations.list({ ...query, poisonOnly: poisonOnly === 'true' }),
    }),
  }),
  route({
    method: 'get',
    path: '/api/dead-letters/{id}',
    tag,
    summary: 'One of them, with its record',
    params,
    answers: { 200: { description: 'The letter', schema: wholeSchema, example: wholeExample } },
    problems: [404, 503],
    handle: async ({ params: { id } }) => ({ json: await operations.show(id) }),
  }),
  route({
    method: 'post',
    path: '/api/dead-letters/{id}/retry',
    tag,
    summary:
      'Try again, and release what waits behind it in order, up to what fails or is being decided about',
    params,
    answers: decided,
    problems: [404, 409, 503],
    handle: async ({ params: { id } }) => ({ json: await operations.retry(id) }),
  }),
  route({
    method: 'post',
    path: '/api/dead-letters/{id}/edit',
    tag,
    summary: 'Put other data in its place, for this projection and every rebuild of it, and try again',
    params,
    takesJson: true,
    document: { requestBody: editBody },
    answers: decided,
    problems: [400, 404, 408, 409, 413, 415, 422, 429, 502, 503],
    handle: async ({ params: { id }, body }) => {
      const edit = editSchema.safeParse(body)
      if (!edit.success) {
        const issue = edit.error.issues[0]
        throw new EmbudoError('wrong_type', `expected {"data": {...}}: ${issue?.message}`, {
          facts: { invalid: true, field: `/${issue?.path.join('/') ?? ''}` },
        })
      }
      return { json: await operations.edit(id, edit.data) }
    },
  }),
  route({
    method: 'post',
    path: '/api/dead-letters/{id}/discard',
    tag,
    summary: 'Pass it over, in this projection and every rebuild of it, and release what waits behind it',
    params,
    query: reasonQuery,
    answers: decided,
    problems: [400, 404, 409, 502, 503],
    handle: async ({ params: { id }, query: { reason } }) => ({ json: await operations.discard(id, reason) }),
  }),
]
