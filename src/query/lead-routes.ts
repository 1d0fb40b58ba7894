import * as z from 'zod'
import { EmbudoError } from '../define/error.ts'
import { pageOf, pageParameters } from '../http/page.ts'
import { type Route, route } from '../http/route.ts'
import type { Listing } from './listing.ts'
import { type ReadParts, readPage, readRow } from './read-listing.ts'
import { positionHeader } from './read-model-routes.ts'
import { type ReadWaitParts, waitForPosition } from './read-position.ts'
import type { HistoryPlace, SubjectHistory } from './subject-history.ts'

export interface LeadParts extends ReadParts, ReadWaitParts {
  readonly listing: Listing
  /** The read model behind it, and the topic as the broker knows it. */
  readonly model: { readonly name: string; readonly topic: string }
  readonly history: SubjectHistory
  /** The projection that fills what the history is read from. */
  readonly historyOf: { readonly name: string }
}

const leadSchema = z
  .object({
    leadId: z.string(),
    email: z.string().nullable(),
    firstName: z.string().nullable(),
    lastName: z.string().nullable(),
    company: z.string().nullable(),
    source: z.string().nullable(),
    registeredAt: z.string().nullable().meta({ format: 'date-time' }),
    webinarsAttended: z.int(),
    attendanceSeconds: z.int(),
    contentConsumed: z.int(),
    conversions: z.int(),
    revenue: z.record(z.string(), z.string()).meta({ description: 'Exact amounts by currency.' }),
    engagementScore: z.number().nullable().meta({ description: 'The mean of what was scored, 0 to 1.' }),
    firstSeenAt: z.string().meta({ format: 'date-time' }),
    lastSeenAt: z.string().meta({ format: 'date-time' }),
  })
  .meta({ id: 'Lead' })

const leadExample = {
  leadId: 'L-1',
  email: 'ada@example.com',
  firstName: 'Ada',
  lastName: null,
  company: 'Acme',
  source: 'webinar',
  registeredAt: '2026-11-20T10:00:00.000Z',
  webinarsAttended: 1,
  attendanceSeconds: 2710,
  contentConsumed: 0,
  conversions: 1,
  revenue: { EUR: '49.00' },
  engagementScore: 0.83,
  firstSeenAt: '2026-11-20T10:00:00.000Z',
  lastSeenAt: '2026-11-20T11:00:00.000Z',
}

const historySchema = z
  .object({
    type: z.string(),
    id: z.string(),
    source: z.string(),
    time: z.string().meta({ format: 'date-time' }),
    topic: z.string(),
    partition: z.int(),
    offset: z.int(),
    data: z.record(z.string(), z.unknown()).meta({ description: 'Without personal fields.' }),
  })
  .meta({ id: 'HistoryEvent' })

const historyExample = {
  ...{ type: 'webinar_attended', id: '018f5c1e-7d3a-7f1b-8c55-0a1b2c3d4e5f', source: 'zoom' },
  ...{ time: '2026-11-20T10:00:00.000Z', topic: 'embudo.leads', partition: 3, offset: 1_042 },
  data: { leadId: 'L-1', webinarId: 'W-9', attendanceDuration: 2_710, engagementScore: 0.83 },
}

const leadId = z.object({ leadId: z.string().meta({ description: 'Whose id it is.', example: 'L-1' }) })

/** Checked with the column's own kind, as every filter. */
const count = z
  .string()
  .optional()
  .meta({
    description: 'Leads with this many.',
    override: { type: 'integer', minimum: -(2 ** 31), maximum: 2 ** 31 - 1 },
  })

const filters = {
  company: z.string().optional().meta({ description: 'Leads of this company.' }),
  source: z.string().optional().meta({ description: 'Leads from this source.' }),
  conversions: count,
  webinarsAttended: count,
}

export const leadRoutes = (parts: LeadParts): Route[] => {
  const wait = (position: string | string[] | undefined) => waitForPosition(parts, parts.model, position)
  return [
    route({
      method: 'get',
      path: '/api/leads',
      tag: 'Leads',
      summary: 'A page of leads',
      description: 'Filters and sorts by any field of a lead that is not personal.',
      query: z
        .object({
          ...pageParameters,
          sort: z
            .string()
            .optional()
            .meta({
              description: 'A field; with - in front for descending. Nulls stand last.',
              example: '-lastSeenAt',
              pattern: `^[-+]?(${readable(parts.listing).join('|')})$`,
            }),
          ...filters,
        })
        .catchall(z.string()),
      headers: positionHeader,
      answers: {
        200: {
          description: 'A page',
          schema: pageOf(leadSchema),
          example: { items: [leadExample], nextCursor: null },
        },
      },
      problems: [400, 503],
      handle: async ({ query: { limit, cursor, sort, ...given }, headers }) => {
        await wait(headers['embudo-position'])
        return {
          json: await readPage(parts, parts.listing, { limit, cursor, sort, filters: present(given) }),
        }
      },
    }),
    route({
      method: 'get',
      path: '/api/leads/{leadId}',
      tag: 'Leads',
      summary: 'A lead',
      params: leadId,
      headers: positionHeader,
      answers: { 200: { description: 'The lead', schema: leadSchema, example: leadExample } },
      problems: [400, 404, 503],
      handle: async ({ params, headers }) => {
        await wait(headers['embudo-position'])
        const lead = await readRow(parts, parts.listing, [params.leadId])
        if (lead === undefined)
          throw new EmbudoError('not_found', `there is no lead ${params.leadId.slice(0, 256)}`)
        return { json: lead }
      },
    }),
    route({
      method: 'get',
      path: '/api/leads/{leadId}/events',
      tag: 'Leads',
      summary: 'All that happened to a lead, in order',
      description:
        'From the analytics tables: up to a second behind, unless Embudo-Position says what to wait for.',
      params: leadId,
      query: z.strictObject(pageParameters),
      headers: positionHeader,
      answers: {
        200: {
          description: 'A page, the oldest first',
          schema: pageOf(historySchema),
          example: { items: [historyExample], nextCursor: null },
        },
      },
      problems: [400, 404, 503],
      handle: async ({ params, query: { limit, cursor }, headers }) => {
        await waitForPosition(parts, parts.historyOf, headers['embudo-position'])
        const after = cursor === undefined ? undefined : openHistoryCursor(cursor)
        const events = await parts.history.events(params.leadId, after, limit + 1)
        if (
          events.length === 0 &&
          after === undefined &&
          (await readRow(parts, parts.listing, [params.leadId])) === undefined
        ) {
          throw new EmbudoError('not_found', `there is no lead ${params.leadId.slice(0, 256)}`)
        }
        const items = events.slice(0, limit)
        return { json: { items, nextCursor: events.length > limit ? historyCursor(items.at(-1)!) : null } }
      },
    }),
  ]
}

const readable = ({ fields }: Listing): string[] =>
  fields.filter(({ isPersonal }) => !isPersonal).map(({ name }) => name)

const present = (given: Readonly<Record<string, string | undefined>>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(given).filter((entry): entry is [string, string] => entry[1] !== undefined),
  )

const historyCursor = ({ time, topic, partition, offset }: HistoryPlace): string =>
  Buffer.from(JSON.stringify({ time, topic, partition, offset })).toString('base64url')

const placeSchema = z.strictObject({
  time: z.iso.datetime(),
  topic: z.string().max(249),
  partition: z.int().min(0).max(1_000_000),
  offset: z.int().min(0),
})

const openHistoryCursor = (cursor: string): HistoryPlace => {
  try {
    return placeSchema.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8')))
  } catch (cause) {
    throw new EmbudoError('bad_cursor', 'cursor: expected the nextCursor of the page before', {
      cause,
      facts: { field: 'cursor' },
    })
  }
}
