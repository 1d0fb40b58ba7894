import * as z from 'zod'
import type { Catalog, EventDefinition } from '../../define/catalog.ts'
import { EmbudoError } from '../../define/error.ts'
import type { Field } from '../../define/field.ts'
import { isTimeZone } from './calendar.ts'

const instant = z.iso
  .datetime({ offset: true, error: 'expected an ISO 8601 instant, for example 2026-11-20T10:00:00Z' })
  .transform((text) => Date.parse(text))
  .refine((ms) => ms >= earliestMs && ms < latestMs, {
    error: 'expected an instant between the years 1900 and 2299',
  })

// What DateTime64(3) holds.
const earliestMs = Date.UTC(1900, 0, 1)
const latestMs = Date.UTC(2299, 11, 31)

/** Of every question. */
export const commonParameters = {
  from: instant.optional().meta({
    description: 'From this instant on; default: 30 days before `to`.',
    example: '2026-11-01T00:00:00Z',
  }),
  to: instant
    .optional()
    .meta({ description: 'Up to this instant, without it; default: now.', example: '2026-12-01T00:00:00Z' }),
  tz: z
    .string()
    .refine(isTimeZone, { error: 'expected a time zone by its IANA name, for example Europe/Berlin' })
    .default('UTC')
    .meta({ description: 'Whose days, weeks and months are meant.' }),
  by: z.string().optional().meta({ description: 'A field of the event: one group for each of its values.' }),
  where: z
    .record(z.string(), z.string())
    .optional()
    .meta({ description: 'Only events whose field has this value: `where[webinarId]=W-9`.' }),
}

export interface Span {
  readonly fromMs: number
  readonly toMs: number
}

const thirtyDaysMs = 30 * 86_400_000

export const spanOf = (
  given: { readonly from?: number | undefined; readonly to?: number | undefined },
  nowMs: number,
): Span => {
  const toMs = given.to ?? nowMs
  const fromMs = given.from ?? toMs - thirtyDaysMs
  if (fromMs >= toMs) throw badParameter('from', 'expected an instant before `to`')
  return { fromMs, toMs }
}

export const eventOf = (catalog: Catalog, parameter: string, type: string): EventDefinition => {
  const event = catalog.events.get(type)
  if (event !== undefined) return event
  throw badParameter(
    parameter,
    `there is no event ${type.slice(0, 64)}`,
    [...catalog.events.keys()].toSorted(),
  )
}

/** A field to group or filter by. Personal ones are not in ClickHouse, and are not spoken of. */
export const dimensionOf = (event: EventDefinition, parameter: string, name: string): Field => {
  const allowed = dimensionsOf(event)
  const field = allowed.find((candidate) => candidate.name === name)
  if (field !== undefined) return field
  throw badParameter(
    parameter,
    `${event.type} has no field ${name.slice(0, 64)} to go by`,
    allowed.map((candidate) => candidate.name),
  )
}

export const dimensionsOf = (event: EventDefinition): Field[] =>
  event.fields.filter(({ kind, personal }) => personal === undefined && dimensionKinds.has(kind.is))

const dimensionKinds = new Set(['string', 'integer', 'boolean', 'date'])

/** One filter, checked against the field's kind. */
export interface Condition {
  readonly field: Field
  readonly value: string
}

export const conditionOf = (field: Field, value: string): Condition => {
  const { is } = field.kind
  const parameter = `where[${field.name}]`
  if (is === 'integer' && !/^-?\d{1,15}$/.test(value)) throw badParameter(parameter, 'expected an integer')
  if (is === 'boolean' && !/^(true|false)$/.test(value))
    throw badParameter(parameter, 'expected true or false')
  if (is === 'date' && !z.iso.date().safeParse(value).success)
    throw badParameter(parameter, 'expected a date, for example 2026-11-20')
  return { field, value }
}

export const badParameter = (name: string, detail: string, allowed?: readonly string[]): EmbudoError =>
  new EmbudoError(
    'bad_parameter',
    `${name}: ${detail}${allowed === undefined ? '' : `; there are ${allowed.join(', ')}`}`,
    {
      facts: { field: name, detail, ...(allowed === undefined ? {} : { allowed }) },
    },
  )
