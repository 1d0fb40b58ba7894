import * as z from 'zod'
import type { Catalog, EventDefinition } from '../define/catalog.ts'
import type { Field } from '../define/field.ts'
import { fromUnits, toUnits } from '../define/money.ts'
import type { EventToAppend } from '../log/event-record.ts'
import type { PersonalData } from '../privacy/personal.ts'
import { envelopeSchema, extensionText, isExtensionName, maxExtensions } from './envelope.ts'
import { type EventError, eventError } from './event-error.ts'
import { dataSchema } from './event-schema.ts'
import { got } from './expected.ts'
import { dataError, envelopeError, nearestAttribute, unknownField } from './issue.ts'
import { nearest } from './nearest.ts'
import { clockText, normalTime } from './time.ts'

/** An event that may be appended: complete, normalised, its personal texts sealed. */
export type ValidEvent = EventToAppend

/** What the request says about each of its events. */
export interface Sender {
  readonly source: string
  readonly traceparent: string | undefined
}

export interface ValidatorParts {
  readonly catalog: Catalog
  readonly personal: PersonalData
  readonly nowMs: () => number
  readonly newId: () => string
}

export type Validate = (input: unknown, sender: Sender) => ValidEvent | Refused

/** `id` is the caller's, where it can be told. */
export interface Refused {
  readonly refused: EventError
  readonly id: string | undefined
}

/** How far a sender's clock may be ahead. */
const maxAheadMs = 24 * 3_600_000

/** One compiled validator for each event type; the input is not kept and may be changed. */
export const eventValidator = ({ catalog, personal, nowMs, newId }: ValidatorParts): Validate => {
  const envelope = z.compile(envelopeSchema.loose())
  const now = clockText(nowMs)
  const latest = latestTime(nowMs)
  const dataOf = new Map(
    [...catalog.events.values()].map((event) => [event.type, dataValidator(event, personal)]),
  )

  return (input, sender) => {
    const id = idOf(input)
    const parsed = envelope.safeParse(input)
    if (!parsed.success) return { refused: envelopeError(parsed.error.issues, input), id }
    // zod leaves this key out; nothing that was sent is dropped in silence.
    if (Object.hasOwn(input as object, '__proto__'))
      return { refused: unknownField('', '__proto__', undefined), id }
    const attributes = parsed.data
    const validateData = dataOf.get(attributes.type)
    if (validateData === undefined) return { refused: unknownType(attributes.type, dataOf.keys()), id }

    let extensions: (readonly [string, string])[] = none
    for (const name in attributes) {
      if (known.has(name)) continue
      const value = attributes[name]
      const refused = refusedExtension(name, value, extensions.length)
      if (refused !== undefined) return { refused, id }
      if (value === null || value === undefined) continue
      if (extensions === none) extensions = []
      extensions.push([name, extensionText(value)!])
    }

    const time = attributes.time ?? undefined
    const happened = time === undefined ? now() : normalTime(time)
    if (happened === undefined || (time !== undefined && happened > latest()))
      return { refused: badTime(time), id }

    if (attributes.data === undefined || attributes.data === null) {
      return {
        refused: eventError(
          'missing_field',
          '/data',
          "expected an object with the event's fields, got nothing",
        ),
        id,
      }
    }
    const data = validateData(attributes.data)
    if ('refused' in data) return { refused: data.refused, id }
    const { subject } = data
    if (attributes.subject !== undefined && attributes.subject !== null && attributes.subject !== subject) {
      return { refused: subjectMismatch(data.event.topic.subject), id }
    }
    if (attributes.causationid) extensions = [['causationid', attributes.causationid], ...extensions]
    if (attributes.correlationid) extensions = [['correlationid', attributes.correlationid], ...extensions]
    const { traceparent } = attributes
    return {
      event: data.event,
      id: attributes.id ?? newId(),
      source: attributes.source ?? sender.source,
      time: happened,
      subject,
      data: data.values,
      traceparent: traceparent && isTraceparent(traceparent) ? traceparent : sender.traceparent,
      extensions,
    }
  }
}

const none: (readonly [string, string])[] = []
const known = new Set(Object.keys(envelopeSchema.shape))

interface ValidData {
  readonly event: EventDefinition
  readonly subject: string
  readonly values: Record<string, unknown>
}

const dataValidator = (event: EventDefinition, personal: PersonalData) => {
  const compiled = z.compile(dataSchema(event))
  const subjectField = event.topic.subject
  const subjects = new Set([subjectField, event.topic.joinsOn ?? subjectField])
  const fields = new Map(event.fields.map((field) => [field.name, field]))
  const finish = event.fields.map((field) => finisher(field, personal)).filter((step) => step !== undefined)
  const maps = event.fields.filter((field) => field.kind.is === 'doubles').map((field) => field.name)

  return (input: unknown): ValidData | { refused: EventError } => {
    const parsed = compiled.safeParse(input)
    if (!parsed.success) return { refused: dataError(parsed.error.issues, input, fields, subjects) }
    for (const name of maps) {
      // zod leaves this key out, and a map that is read back would have it as its prototype.
      const map = (input as Record<string, unknown>)[name]
      if (map && Object.hasOwn(map, '__proto__'))
        return { refused: unknownField(`/data/${name}`, '__proto__', undefined) }
    }
    const values = parsed.data as Record<string, unknown>
    for (const step of finish) step(values)
    return { event, subject: values[subjectField] as string, values }
  }
}

/** What a valid value still needs before it can be encoded. */
const finisher = (
  field: Field,
  personal: PersonalData,
): ((values: Record<string, unknown>) => void) | undefined => {
  const { name, kind, nullable, personal: tag } = field
  if (kind.is === 'decimal') {
    const { scale } = kind
    return (values) => {
      const amount = values[name]
      values[name] =
        amount === undefined || amount === null ? null : fromUnits(toUnits(String(amount), scale), scale)
    }
  }
  if (tag !== undefined) {
    return (values) => {
      const text = values[name] as string | null | undefined
      values[name] =
        text === undefined || text === null ? null : personal.seal(text, tag, String(values[tag.of]))
    }
  }
  if (!nullable) return undefined
  return (values) => {
    if (values[name] === undefined) values[name] = null
  }
}

const unknownType = (type: string, types: Iterable<string>): EventError => {
  const meant = nearest(type, types)
  return eventError(
    'unknown_event_type',
    '/type',
    `expected the name of an event of the catalogue (GET /api/event-types), got ${got(type)}` +
      (meant === undefined ? '' : `; did you mean ${meant}?`),
  )
}

const refusedExtension = (name: string, value: unknown, count: number): EventError | undefined => {
  if (name === 'data_base64')
    return eventError('unsupported_data', '/data_base64', 'expected the data as JSON in data')
  if (!isExtensionName(name)) return unknownField('', name, nearestAttribute(name))
  if (value === null || value === undefined) return undefined
  if (count >= maxExtensions)
    return eventError('too_long', `/${name}`, `expected at most ${maxExtensions} extension attributes`)
  if (extensionText(value) !== undefined) return undefined
  return typeof value === 'number'
    ? eventError(
        'out_of_range',
        `/${name}`,
        'expected a number of at most 2^53 - 1; send a larger one as text',
      )
    : eventError(
        'wrong_type',
        `/${name}`,
        `expected text of at most 1024 characters, a number or a boolean, got ${got(value)}`,
      )
}

/** As text, so that no time needs to be parsed; made anew every second. */
const latestTime = (nowMs: () => number): (() => string) => {
  let madeAt = Number.NEGATIVE_INFINITY
  let latest = ''
  return () => {
    const now = nowMs()
    if (Math.abs(now - madeAt) >= 1_000) {
      madeAt = now
      latest = new Date(now + maxAheadMs).toISOString()
    }
    return latest
  }
}

const badTime = (time: string | undefined): EventError =>
  eventError(
    'bad_time',
    '/time',
    `expected an RFC 3339 time from 1900 to a day from now, for example 2026-11-20T10:00:00Z, got ${got(time)}`,
  )

/** Neither is repeated: either could be somebody's name. */
const subjectMismatch = (subjectField: string): EventError =>
  eventError('subject_mismatch', '/subject', `expected the same text as /data/${subjectField}, got another`)

const traceparent = /^[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/

/** W3C trace context: a malformed one is as good as none. */
export const isTraceparent = (text: string): boolean => traceparent.test(text)

const idOf = (input: unknown): string | undefined => {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) return undefined
  const { id } = input as { id?: unknown }
  return typeof id === 'string' && id.length <= 256 ? id : undefined
}
