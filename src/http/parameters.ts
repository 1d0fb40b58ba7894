import type * as z from 'zod'
import { EmbudoError } from '../define/error.ts'

export type Query = Record<string, string | Record<string, string>>

/** `?a=1&where[company]=x` as `{a: '1', where: {company: 'x'}}`. What is given twice is refused. */
export const queryOf = (url: string): Query => {
  const mark = url.indexOf('?')
  const query: Query = Object.create(null)
  if (mark === -1) return query
  for (const [name, value] of new URLSearchParams(url.slice(mark + 1))) {
    const [, outer, inner] = /^([^[\]]+)\[([^[\]]+)\]$/.exec(name) ?? []
    if (outer === undefined || inner === undefined) {
      if (name in query) throw badParameter(name, 'expected it once')
      query[name] = value
      continue
    }
    query[outer] ??= Object.create(null) as Record<string, string>
    const nested = query[outer]
    if (typeof nested === 'string' || inner in nested) throw badParameter(name, 'expected it once')
    nested[inner] = value
  }
  return query
}

/** Throws `bad_parameter` and `unknown_parameter`, each with the parameter's name. */
export const parseParameters = (schema: z.ZodObject | undefined, given: Record<string, unknown>): unknown => {
  if (schema === undefined) {
    const [name] = Object.keys(given)
    if (name !== undefined) throw unknownParameter(name, [])
    return {}
  }
  const parsed = schema.safeParse({ ...given })
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]!
  if (issue.code === 'unrecognized_keys') throw unknownParameter(issue.keys[0]!, Object.keys(schema.shape))
  throw badParameter(issue.path.join('.'), issue.message)
}

export const badParameter = (name: string, wanted: string): EmbudoError =>
  new EmbudoError('bad_parameter', `${name}: ${wanted}`, { facts: { field: name } })

const unknownParameter = (name: string, allowed: readonly string[]): EmbudoError =>
  new EmbudoError(
    'unknown_parameter',
    `there is no parameter ${name.slice(0, 64)}; ${allowed.length === 0 ? 'none is taken' : `there are ${allowed.join(', ')}`}`,
    { facts: { field: name.slice(0, 64).toWellFormed(), allowed } },
  )
