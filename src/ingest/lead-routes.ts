import * as z from 'zod'
import type { Catalog } from '../define/catalog.ts'
import { EmbudoError } from '../define/error.ts'
import { type Answer, type Route, route } from '../http/route.ts'
import type { Admission } from './admission.ts'
import { type AppendOneParts, appendOne } from './append-one.ts'
import { dataSchema } from './event-schema.ts'
import { RepeatedKeys, repeatedKeysIn } from './repeated-keys.ts'
import { isTraceparent } from './validate.ts'

export interface LeadWriteParts extends AppendOneParts {
  readonly catalog: Catalog
  readonly newId: () => string
  readonly admission: Pick<Admission, 'retryAfterSeconds'>
}

const writtenSchema = z.object({
  leadId: z.string(),
  id: z.string().meta({ description: 'Of the event.' }),
  topic: z.string(),
  partition: z.int(),
  offset: z.int(),
})

const positionHeaders = z.object({
  'Embudo-Position': z
    .string()
    .meta({ description: 'For a read that has to see what was written.', example: 'embudo.leads:3:1042' }),
})

const writtenExample = {
  ...{ leadId: 'L-1', id: '018f5c1e-7d3a-7f1b-8c55-0a1b2c3d4e5f', topic: 'embudo.leads', partition: 3 },
  offset: 1_042,
}

/** Leads are written by appending what happened; reading them is `query/`. */
export const leadWriteRoutes = (parts: LeadWriteParts): Route[] => {
  const registered = documented(parts.catalog, 'lead_registered', (lead) =>
    lead.extend({ leadId: lead.shape.leadId?.nullish() }),
  )
  const updated = documented(parts.catalog, 'lead_updated', (lead) => lead.omit({ leadId: true }))

  const append = async (
    type: string,
    data: Record<string, unknown>,
    traceparent: unknown,
  ): Promise<Answer> => {
    const one = await appendOne(
      parts,
      { type, data },
      {
        source: 'http',
        traceparent: typeof traceparent === 'string' && isTraceparent(traceparent) ? traceparent : undefined,
      },
    )
    if ('refused' in one) {
      const { code, detail, field } = one.refused
      throw new InvalidLead(code, detail, field.replace(/^\/data/, ''))
    }
    if ('failure' in one) {
      const { code, detail, retriable } = one.failure
      const facts = { retryAfterSeconds: parts.admission.retryAfterSeconds() }
      throw new EmbudoError(code, detail, { retriable, facts })
    }
    const { event, appended } = one
    const { topic, partition, offset } = appended
    return {
      status: 202,
      json: { leadId: event.subject, id: event.id, topic, partition, offset },
      headers: { 'embudo-position': `${topic}:${partition}:${offset}` },
    }
  }

  const answers = {
    202: {
      description: 'The log has it',
      schema: writtenSchema,
      headers: positionHeaders,
      example: writtenExample,
    },
  }
  const problems = [400, 408, 413, 415, 422, 429, 502, 503]

  return [
    route({
      method: 'post',
      path: '/api/leads',
      tag: 'Leads',
      summary: 'Register a lead: appends lead_registered',
      description: 'Without a leadId it gets a new UUIDv7.',
      takesJson: true,
      document: { requestBody: registered },
      answers,
      problems,
      handle: async ({ body, bytes, headers }) => {
        const data = await leadOf(bytes, body)
        return append(
          'lead_registered',
          { ...data, leadId: data.leadId ?? parts.newId() },
          headers.traceparent,
        )
      },
    }),
    route({
      method: 'put',
      path: '/api/leads/{leadId}',
      tag: 'Leads',
      summary: 'Change what is known of a lead: appends lead_updated',
      description: 'What is absent stays as it is.',
      params: z.object({ leadId: z.string().meta({ description: 'Whose id it is.', example: 'L-1' }) }),
      takesJson: true,
      document: { requestBody: updated },
      answers,
      problems,
      handle: async ({ params: { leadId }, body, bytes, headers }) => {
        const data = await leadOf(bytes, body)
        if (data.leadId !== undefined && data.leadId !== leadId) {
          throw new InvalidLead('subject_mismatch', 'expected the leadId of the address, or none', '/leadId')
        }
        return append('lead_updated', { ...data, leadId }, headers.traceparent)
      },
    }),
  ]
}

/** A lead that is not valid: 422, with the event's own codes. */
class InvalidLead extends EmbudoError {
  constructor(code: string, detail: string, field: string) {
    super(code, detail, { facts: { field, invalid: true } })
  }
}

const leadOf = async (bytes: Buffer, body: unknown): Promise<Record<string, unknown>> => {
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new InvalidLead('wrong_type', "expected an object with the lead's fields", '')
  const repeated = new RepeatedKeys(bytes).mayBeIn(body) ? await repeatedKeysIn(bytes) : undefined
  for (const { code, detail, field } of repeated?.values() ?? []) throw new InvalidLead(code, detail, field)
  return body as Record<string, unknown>
}

/** `without`: the lead as its body has it, where the address names it or nobody does. */
const documented = (catalog: Catalog, type: string, without: (lead: z.ZodObject) => z.ZodObject) => {
  const event = catalog.events.get(type)
  if (event === undefined) throw new EmbudoError('unknown_event_type', `the catalogue has no ${type}`)
  return {
    required: true,
    content: {
      'application/json': {
        schema: without(dataSchema(event)),
        example: { email: 'ada@example.com', company: 'Acme' },
      },
    },
  }
}
