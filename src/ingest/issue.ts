import type * as z from 'zod'
import type { Field } from '../define/field.ts'
import { envelopeFields, expectedOfEnvelope } from './envelope.ts'
import { type EventError, type EventErrorCode, eventError } from './event-error.ts'
import { expected, got, maxSubjectCharacters } from './expected.ts'
import { nearest } from './nearest.ts'

type Issue = z.core.$ZodIssue

/** What zod found in the data, as the caller reads it: the first thing wrong, a misspelt name before all else. */
export const dataError = (
  issues: readonly Issue[],
  data: unknown,
  fields: ReadonlyMap<string, Field>,
  subjects: ReadonlySet<string>,
): EventError => {
  const unknown = issues.find((issue) => issue.code === 'unrecognized_keys')
  if (unknown !== undefined) {
    const missing = issues.filter((issue) => isMissing(issue, data)).map((issue) => String(issue.path[0]))
    const name = unknown.keys[0] ?? ''
    const meant = nearest(name, missing)
    if (meant !== undefined || issues.length === 1)
      return unknownField('/data', name, meant ?? nearest(name, fields.keys()))
  }
  const issue = issues.find((candidate) => candidate.code !== 'unrecognized_keys') ?? issues[0]!
  const pointer = `/data${issue.path.map((part) => `/${escaped(part)}`).join('')}`
  if (issue.path.length === 0)
    return eventError('wrong_type', '/data', `expected an object with the event's fields, got ${got(data)}`)
  const field = fields.get(String(issue.path[0]))!
  const value = valueAt(data, issue.path)
  const isSubject = subjects.has(field.name)
  const wanted = isSubject ? `an opaque id of 1 to ${maxSubjectCharacters} characters` : expected(field)
  const code = isMissing(issue, data) ? 'missing_field' : codeOf(issue, value, isSubject)
  if (code === 'subject_is_personal') {
    return eventError(
      code,
      pointer,
      'expected an opaque id, got what looks like a mail address; ids stay in the log for ever',
    )
  }
  return eventError(
    code,
    pointer,
    `expected ${wanted}, got ${got(value, field.personal !== undefined || isSubject)}`,
  )
}

export const envelopeError = (issues: readonly Issue[], event: unknown): EventError => {
  const issue = issues[0]!
  const name = String(issue.path[0] ?? '')
  if (name === '')
    return eventError('wrong_type', '', `expected an event: an object with type and data, got ${got(event)}`)
  const value = valueAt(event, issue.path)
  const code =
    name === 'specversion'
      ? 'unsupported_specversion'
      : name === 'datacontenttype' && typeof value === 'string'
        ? 'unsupported_data'
        : isMissing(issue, event)
          ? 'missing_field'
          : codeOf(issue, value, false)
  return eventError(
    code,
    `/${name}`,
    `expected ${expectedOfEnvelope[name as keyof typeof expectedOfEnvelope]}, got ${got(value)}`,
  )
}

/** A name that neither CloudEvents nor the schema knows. */
export const unknownField = (parent: string, name: string, meant: string | undefined): EventError =>
  eventError(
    'unknown_field',
    `${parent}/${escaped(name.slice(0, 64).toWellFormed())}`,
    `expected no such field${meant === undefined ? '' : `; did you mean ${meant}?`}`,
  )

export const nearestAttribute = (name: string): string | undefined =>
  nearest(name, [...Object.keys(envelopeFields), 'data'])

const codeOf = (issue: Issue, value: unknown, isSubject: boolean): EventErrorCode => {
  switch (issue.code) {
    case 'too_small':
    case 'too_big':
      if (typeof value === 'number') return 'out_of_range'
      if (isSubject) return 'bad_subject'
      return issue.code === 'too_big' ? 'too_long' : 'wrong_format'
    case 'invalid_format':
      return 'wrong_format'
    case 'invalid_value':
      return typeof value === 'string' ? 'not_one_of' : 'wrong_type'
    case 'custom':
      return issue.params?.code as EventErrorCode
    case 'invalid_key':
      return 'bad_text'
    default:
      return 'wrong_type'
  }
}

const isMissing = (issue: Issue, root: unknown): boolean =>
  issue.path.length === 1 && valueAt(root, issue.path) === undefined && issue.code !== 'unrecognized_keys'

const valueAt = (root: unknown, path: readonly PropertyKey[]): unknown => {
  let value = root
  for (const part of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined
    value = (value as Record<PropertyKey, unknown>)[part]
  }
  return value
}

const escaped = (part: PropertyKey): string => String(part).replaceAll('~', '~0').replaceAll('/', '~1')
