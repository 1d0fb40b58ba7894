import * as z from 'zod'
import { isText } from './event-schema.ts'

/**
 * CloudEvents 1.0, of which only `type` and `data` are required. A null attribute counts as absent. Extension
 * attributes are named in lower-case letters and digits, and go into the log as they are.
 */
const attribute = (maxCharacters: number) =>
  z
    .string()
    .min(1)
    .max(maxCharacters, { abort: true })
    .refine(isText, { params: { code: 'bad_text' } })

const uriReference = /^[\w\-.~:/?#[\]@!$&'()*+,;=%]+$/
export const isUriReference = (text: string): boolean => uriReference.test(text)

export const envelopeFields = {
  specversion: z.literal('1.0').nullish(),
  id: attribute(256).nullish().meta({ description: 'Default: a new UUIDv7. A retry sends the same id.' }),
  source: attribute(512).regex(uriReference).nullish().meta({
    description:
      'A URI reference: who says so. Default: http, so whoever chooses ids names a source as well.',
  }),
  type: z.string(),
  time: z
    .string()
    .nullish()
    .meta({ format: 'date-time', description: 'When it happened, RFC 3339. Default: now.' }),
  subject: z.string().nullish().meta({ description: 'Where given, equal to the subject field in the data.' }),
  datacontenttype: z
    .string()
    .regex(/^application\/([\w.-]+\+)?json\s*(;|$)/i)
    .nullish(),
  dataschema: z
    .string()
    .nullish()
    .meta({ description: 'Taken and not kept: the catalogue says what data is valid.' }),
  correlationid: attribute(256).nullish(),
  causationid: attribute(256).nullish(),
  traceparent: attribute(256).nullish().meta({ description: 'W3C trace context.' }),
}

export type EnvelopeField = keyof typeof envelopeFields

export const envelopeSchema = z.object({ ...envelopeFields, data: z.unknown().optional() })

export const expectedOfEnvelope: Readonly<Record<EnvelopeField, string>> = {
  specversion: '"1.0"',
  id: 'text of 1 to 256 characters',
  source: 'a URI reference of 1 to 512 characters, for example zoom or https://crm.example/hooks',
  type: 'the name of an event of the catalogue (GET /api/event-types)',
  time: 'an RFC 3339 time from 1900 to a day from now, for example 2026-11-20T10:00:00Z',
  subject: 'the same text as the subject field in the data',
  datacontenttype: 'application/json',
  dataschema: 'a URI',
  correlationid: 'text of 1 to 256 characters',
  causationid: 'text of 1 to 256 characters',
  traceparent: 'a W3C traceparent',
}

const extensionName = /^[a-z0-9]{1,64}$/
export const maxExtensions = 16
const maxExtensionCharacters = 1_024

/** What a document says of extension attributes; their number, and what text may hold, no JSON Schema can say. */
export const extensionValue = z
  .union([
    z.string().max(maxExtensionCharacters),
    z.number().min(Number.MIN_SAFE_INTEGER).max(Number.MAX_SAFE_INTEGER),
    z.boolean(),
    z.null(),
  ])
  .meta({ description: 'An extension attribute of CloudEvents.' })
export const attributeNames = { pattern: extensionName.source }

export const isExtensionName = (name: string): boolean => extensionName.test(name)

/** An extension's value as header text, or undefined where it is none of CloudEvents' types. */
export const extensionText = (value: unknown): string | undefined => {
  if (typeof value === 'boolean') return String(value)
  // Beyond that a number is no longer what was written.
  if (typeof value === 'number') return Math.abs(value) <= Number.MAX_SAFE_INTEGER ? String(value) : undefined
  return typeof value === 'string' && value.length <= maxExtensionCharacters && isText(value)
    ? value
    : undefined
}
