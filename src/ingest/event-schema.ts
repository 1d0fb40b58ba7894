import * as z from 'zod'
import type { EventDefinition } from '../define/catalog.ts'
import type { Field } from '../define/field.ts'
import { toUnits } from '../define/money.ts'
import { expected, maxElements, maxSubjectCharacters, maxTextCharacters } from './expected.ts'
import { isDay } from './time.ts'

/** The data of an event as callers send it. Validates, and is what the OpenAPI document shows. */
export const dataSchema = (event: EventDefinition): z.ZodObject =>
  z
    .strictObject(Object.fromEntries(event.fields.map((field) => [field.name, fieldSchema(event, field)])))
    .meta({ ...described(event.current.schema.doc) })

const fieldSchema = (event: EventDefinition, field: Field): z.ZodType => {
  const isSubject = field.name === event.topic.subject || field.name === event.topic.joinsOn
  const schema = isSubject ? subjectId : valueSchema(field)
  const meta = { ...described(describe(field)) }
  return field.nullable ? schema.nullish().meta(meta) : schema.meta(meta)
}

/** What the Avro library takes for a number that it can hold exactly: one less than JavaScript does. */
const largestLong = Number.MAX_SAFE_INTEGER - 1

const valueSchema = (field: Field): z.ZodType => {
  switch (field.kind.is) {
    case 'string':
      if (field.oneOf !== undefined) return z.enum(field.oneOf as [string, ...string[]])
      return field.pattern === undefined ? text : text.regex(new RegExp(field.pattern))
    case 'integer':
      return bounded(z.int().min(-largestLong).max(largestLong), field)
    case 'double':
      return bounded(z.number(), field)
    case 'boolean':
      return z.boolean()
    case 'date':
      return z
        .string()
        .refine(isDay, { params: { code: 'bad_date' } })
        .meta({ format: 'date', pattern: '^(19|20|21|22)[0-9][0-9]-' })
    case 'strings':
      return z.array(text).max(maxElements)
    case 'doubles':
      return z
        .record(
          z
            .string()
            .min(1)
            .max(256, { abort: true })
            .refine(isText, { params: { code: 'bad_text' } }),
          z.number(),
        )
        .refine((map) => Object.keys(map).length <= maxElements, { params: { code: 'too_long' } })
    case 'decimal':
      return decimal(field, field.kind.precision, field.kind.scale)
  }
}

/** What JSON can carry and every store can keep: a NUL stops Postgres, a lone surrogate is no UTF-8. */
export const isText = (text: string): boolean => text.isWellFormed() && !text.includes('\0')

/** What is too long is looked at no further: a pattern may take time that grows with the square of the length. */
const text = z
  .string()
  .max(maxTextCharacters, { abort: true })
  .refine(isText, { params: { code: 'bad_text' } })

const looksLikeMail = /[^\s@](?:@|%40)[^\s@]+\.[^\s@.]+/i

/** Of an id that is not too long to be one: the search takes time that grows with the square of the length. */
export const isPersonalId = (id: string): boolean =>
  id.length <= maxSubjectCharacters && looksLikeMail.test(id)

const subjectId = z
  .string()
  .min(1)
  .max(maxSubjectCharacters, { abort: true })
  .refine(isText, { params: { code: 'bad_text' } })
  .refine((id) => !isPersonalId(id), { params: { code: 'subject_is_personal' } })

const bounded = (schema: z.ZodNumber, { minimum, maximum }: Field): z.ZodNumber => {
  const above = minimum === undefined ? schema : schema.min(minimum)
  return maximum === undefined ? above : above.max(maximum)
}

/**
 * A number is taken too, as long as it cannot have lost digits on its way: doubles keep 15 for certain, those behind
 * the point included.
 */
const decimal = (field: Field, precision: number, scale: number): z.ZodType => {
  const digits = `[0-9]{1,${precision - scale}}(\\.[0-9]{1,${scale}})?$`
  const form = new RegExp(`^-?${digits}`)
  const numbersEnd = 10 ** (15 - scale)
  const isExact = (amount: string | number) =>
    typeof amount === 'string'
      ? form.test(amount)
      : Math.abs(amount) < numbersEnd && form.test(String(amount)) && significantDigits(amount) <= 15
  const minimum = field.minimum === undefined ? undefined : toUnits(String(field.minimum), scale)
  const maximum = field.maximum === undefined ? undefined : toUnits(String(field.maximum), scale)
  const isWithin = (amount: string | number) => {
    if (!isExact(amount)) return true
    const units = toUnits(String(amount), scale)
    return (minimum === undefined || units >= minimum) && (maximum === undefined || units <= maximum)
  }
  return z
    .union([
      z.string().meta({ pattern: minimum !== undefined && minimum >= 0n ? `^${digits}` : form.source }),
      z.number().meta({
        minimum: field.minimum ?? -numbersEnd + 1,
        maximum: field.maximum ?? numbersEnd - 1,
        multipleOf: 1 / 10 ** scale,
      }),
    ])
    .refine(isExact, { params: { code: 'bad_decimal' } })
    .refine(isWithin, { params: { code: 'out_of_range' } })
}

const significantDigits = (amount: number): number =>
  String(amount)
    .replace(/^-?0*\.?0*/, '')
    .replace('.', '').length

const describe = (field: Field): string =>
  [
    field.doc === undefined ? undefined : `${field.doc}.`,
    `Takes ${expected(field)}.`,
    field.personal && 'Personal.',
  ]
    .filter(Boolean)
    .join(' ')

const described = (description: string | undefined) => (description === undefined ? {} : { description })
