import * as z from 'zod'
import { topicName } from '../define/catalog.ts'
import { EmbudoError } from '../define/error.ts'
import type { ReadModelDefinition } from '../define/read-model.ts'
import type { TallyDefinition } from '../define/tally.ts'
import { pageOf, pageParameters } from '../http/page.ts'
import { type Route, route } from '../http/route.ts'
import { type Listing, listingOf } from './listing.ts'
import { type ReadParts, readPage, readRow } from './read-listing.ts'
import { type ReadWaitParts, waitForPosition } from './read-position.ts'

export interface ReadModelParts extends ReadParts, ReadWaitParts {
  readonly models: readonly (ReadModelDefinition | TallyDefinition)[]
  readonly prefix: string
}

export const positionHeader = z.object({
  'Embudo-Position': z.string().optional().meta({
    description: 'Of an answer that wrote: the read waits until the model has applied it.',
    example: 'embudo.leads:3:1042',
  }),
})

/** Any column of the model, for the document: `?company=Acme`. */
const filterParameter = {
  name: 'filters',
  in: 'query',
  style: 'form',
  explode: true,
  description: 'Any column that is not personal, with the value that it has.',
  schema: { type: 'object', additionalProperties: { type: 'string' } },
  example: {},
}

const modelSchema = z
  .object({
    name: z.string(),
    kind: z.enum(['read model', 'tally']),
    version: z.int(),
    columns: z.array(
      z.object({
        name: z.string(),
        type: z.string(),
        nullable: z.boolean(),
        key: z.boolean(),
        personal: z.boolean(),
      }),
    ),
  })
  .meta({ id: 'ReadModel' })

const rowSchema = z.record(z.string(), z.unknown()).meta({ description: 'The columns by name.' })

const rowExample = {
  webinar_id: 'W-9',
  attendances: 120,
  attendance_seconds: 310_000,
  longest_seconds: 5_400,
}

export const readModelRoutes = (parts: ReadModelParts): Route[] => {
  const models = new Map(parts.models.map((model) => [model.name, { model, listing: listingOf(model) }]))
  const names = [...models.keys()]

  const found = (name: string) => {
    const entry = models.get(name)
    if (entry !== undefined) return entry
    throw new EmbudoError(
      'unknown_read_model',
      `there is no read model ${name.slice(0, 64)}; there are ${names.join(', ')}`,
    )
  }
  const waited = async (name: string, position: string | string[] | undefined): Promise<Listing> => {
    const { model, listing } = found(name)
    await waitForPosition(parts, { name, topic: topicName(parts.prefix, model.topic) }, position)
    return listing
  }
  const nameParameter = z.string().meta({
    description: `One of ${names.join(', ')}.`,
    ...(names[0] ? { example: names[0] } : {}),
    enum: names,
  })

  return [
    route({
      method: 'get',
      path: '/api/read-models',
      tag: 'Reading',
      summary: 'The read models, with their columns',
      answers: {
        200: {
          description: 'All of them',
          schema: pageOf(modelSchema),
          example: { items: [...models.values()].slice(0, 1).map(shownModel), nextCursor: null },
        },
      },
      problems: [],
      handle: async () => ({ json: { items: [...models.values()].map(shownModel), nextCursor: null } }),
    }),
    route({
      method: 'get',
      path: '/api/read-models/{name}',
      tag: 'Reading',
      summary: 'A page of a read model',
      params: z.object({ name: nameParameter }),
      query: z
        .object({
          ...pageParameters,
          sort: z
            .string()
            .optional()
            .meta({ description: 'A column; with - in front for descending. Nulls stand last.' }),
        })
        .catchall(z.string()),
      headers: positionHeader,
      document: { parameters: [filterParameter] },
      answers: {
        200: {
          description: 'A page',
          schema: pageOf(rowSchema),
          example: { items: [rowExample], nextCursor: null },
        },
      },
      problems: [400, 404, 503],
      handle: async ({ params: { name }, query: { limit, cursor, sort, ...filters }, headers }) => {
        const listing = await waited(name, headers['embudo-position'])
        return { json: await readPage(parts, listing, { limit, cursor, sort, filters }) }
      },
    }),
    route({
      method: 'get',
      path: '/api/read-models/{name}/{key}',
      tag: 'Reading',
      summary: 'One row of a read model',
      params: z.object({
        name: nameParameter,
        key: z.string().meta({
          description: 'The key; of several columns, with commas between them.',
          example: 'L-1',
        }),
      }),
      headers: positionHeader,
      answers: { 200: { description: 'The row', schema: rowSchema, example: rowExample } },
      problems: [400, 404, 503],
      handle: async ({ params: { name, key }, headers }) => {
        const listing = await waited(name, headers['embudo-position'])
        const row = await readRow(parts, listing, keyParts(listing, key))
        if (row === undefined) throw new EmbudoError('not_found', `${name} has no row ${key.slice(0, 256)}`)
        return { json: row }
      },
    }),
  ]
}

/** Keys of several columns are written with commas between them. */
const keyParts = ({ keys }: Listing, key: string): string[] => (keys.length === 1 ? [key] : key.split(','))

const shownModel = ({
  model,
  listing,
}: {
  model: ReadModelDefinition | TallyDefinition
  listing: Listing
}) => ({
  name: model.name,
  kind: model.kind,
  version: model.version,
  columns: listing.fields.map((field) => ({
    name: field.name,
    type: field.type,
    nullable: field.nullable,
    key: listing.keys.includes(field),
    personal: field.isPersonal,
  })),
})
