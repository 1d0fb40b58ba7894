import * as z from 'zod'
import { type Catalog, type EventDefinition, topicName } from '../define/catalog.ts'
import { pageOf } from '../http/page.ts'
import { problem, problemSchema } from '../http/problem.ts'
import { type Route, route } from '../http/route.ts'
import { attributeNames, envelopeFields, extensionValue } from './envelope.ts'
import { eventErrorCodes } from './event-error.ts'
import { dataSchema } from './event-schema.ts'
import { exampleEvent } from './example.ts'

const errorSchema = z
  .object({
    index: z.int().meta({ description: 'In the order sent, from 0.' }),
    id: z.string().nullable(),
    code: z.enum(Object.keys(eventErrorCodes) as [string, ...string[]]),
    field: z.string().meta({ description: 'A JSON pointer into the event.' }),
    detail: z.string(),
    retriable: z.boolean(),
  })
  .meta({
    id: 'EventError',
    description: Object.entries(eventErrorCodes)
      .map(([code, what]) => `- \`${code}\`: ${what}`)
      .join('\n'),
  })

const placeSchema = z
  .object({ id: z.string(), topic: z.string(), partition: z.int(), offset: z.int() })
  .meta({ id: 'Place', description: 'Where in the log the event stands.' })

const batchSchema = z
  .object({
    accepted: z.int(),
    rejected: z.int(),
    errors: z.array(errorSchema),
    errorsOmitted: z.int().optional(),
    stoppedAt: z.int().optional().meta({
      description:
        'The body or the log broke off here: from this index on the outcome is unknown, and a retry with the same ids is right.',
    }),
    stoppedBy: errorSchema.omit({ index: true, id: true }).optional(),
  })
  .meta({ id: 'BatchAnswer' })

const positionHeaders = z.object({
  'Embudo-Position': z.string().optional().meta({
    description: 'The last place written in each partition; absent where nothing was written.',
    example: 'embudo.leads:3:1042',
  }),
})

const refusedExample = {
  ...{ index: 1, id: '018f5c1e-7d3a-7f1b-8c55-0a1b2c3d4e5f', code: 'out_of_range' },
  field: '/data/engagementScore',
  detail: 'expected a number (a ratio) from 0 to 1, or null, got 83',
  retriable: false,
}

const eventTypeSchema = z
  .object({
    type: z.string(),
    topic: z.string(),
    subject: z.string().meta({ description: 'The field of the data that is the key.' }),
    version: z.int(),
    description: z.string().nullable(),
    personal: z.array(z.string()).meta({ description: 'Fields with personal data.' }),
    avro: z.record(z.string(), z.unknown()),
    jsonSchema: z.record(z.string(), z.unknown()),
    example: z.record(z.string(), z.unknown()),
  })
  .meta({ id: 'EventType' })

/** The catalogue, and the description of POST /api/events, which is answered in front of Express. */
export const eventRoutes = (catalog: Catalog, prefix: string): Route[] => {
  const types = [...catalog.events.values()].map((event) => shownType(event, prefix))
  return [
    {
      method: 'post',
      path: '/api/events',
      tag: 'Events',
      summary: 'Append events',
      description:
        'Answers once the log has them. CloudEvents 1.0: structured, batched, and in binary mode with `ce-*` headers on ' +
        'application/json; only type and data are required. Bodies may be compressed with gzip or zstd. ' +
        'A retry with the same source and ids is safe.',
      answers: {
        202: {
          description: 'All accepted: of one event its place, of many their number',
          schema: z.union([placeSchema, batchSchema]),
          headers: positionHeaders,
          example: {
            ...{ id: '018f5c1e-7d3a-7f1b-8c55-0a1b2c3d4e5f', topic: `${prefix}leads`, partition: 3 },
            offset: 1_042,
          },
        },
        207: {
          description: 'Some accepted',
          schema: batchSchema,
          headers: positionHeaders,
          example: { accepted: 1, rejected: 1, errors: [refusedExample] },
        },
        422: {
          description: 'None accepted',
          contentType: 'application/problem+json',
          schema: problemSchema.extend({ ...batchSchema.partial().shape, id: z.string().optional() }),
          example: problem(422, 'no_event_accepted', 'none of the events was accepted; errors says why', {
            ...{ accepted: 0, rejected: 1, errors: [{ ...refusedExample, index: 0 }] },
          }),
        },
      },
      problems: [400, 408, 413, 415, 429, 502, 503],
      document: { requestBody: requestBody([...catalog.events.values()]) },
    },
    route({
      method: 'get',
      path: '/api/event-types',
      tag: 'Events',
      summary: 'The catalogue: every event type, with Avro and JSON Schema',
      answers: {
        200: {
          description: 'All of them',
          schema: pageOf(eventTypeSchema),
          example: { items: types.slice(0, 1), nextCursor: null },
        },
      },
      problems: [],
      handle: async () => ({ json: { items: types, nextCursor: null } }),
    }),
  ]
}

const requestBody = (events: readonly EventDefinition[]) => {
  const event = z
    .discriminatedUnion('type', events.map(eventSchema) as [z.ZodObject, ...z.ZodObject[]])
    .meta({ id: 'Event' })
  const examples = Object.fromEntries(
    events.map((definition) => [definition.type, { value: exampleEvent(definition) }]),
  )
  const first = exampleEvent(events[0]!)
  return {
    required: true,
    content: {
      'application/json': { schema: z.union([event, z.array(event)]), examples },
      'application/cloudevents+json': { schema: event, examples },
      'application/cloudevents-batch+json': { schema: z.array(event), example: [first] },
      'application/x-ndjson': { schema: z.string(), example: `${JSON.stringify(first)}\n` },
    },
  }
}

const eventSchema = (event: EventDefinition): z.ZodObject =>
  z
    .object({ ...envelopeFields, type: z.literal(event.type), data: dataSchema(event) })
    .catchall(extensionValue)
    .meta({ id: event.type, propertyNames: attributeNames })

const shownType = (event: EventDefinition, prefix: string) => ({
  type: event.type,
  topic: topicName(prefix, event.topic),
  subject: event.topic.subject,
  version: event.current.version,
  description: event.current.schema.doc ?? null,
  personal: event.fields.filter((field) => field.personal !== undefined).map((field) => field.name),
  avro: event.current.schema,
  jsonSchema: z.toJSONSchema(dataSchema(event), { io: 'input' }),
  example: exampleEvent(event),
})
