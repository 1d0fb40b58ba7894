import type { Field } from '../define/field.ts'

export const maxSubjectCharacters = 256
export const maxTextCharacters = 65_536
export const maxElements = 1_000

/** What a field takes, in plain words: "an integer of seconds from 0 to 604800". */
export const expected = (field: Field): string =>
  `${expectedValue(field)}${field.nullable ? ', or null' : ''}`

const expectedValue = (field: Field): string => {
  const example = field.doc?.match(/for example (.+)/)?.[1]
  switch (field.kind.is) {
    case 'integer':
      return `an integer${ofUnit(field)}${range(field)}`
    case 'double':
      return `a number${ofUnit(field)}${range(field)}`
    case 'decimal':
      return (
        `a decimal${range(field)} with at most ${field.kind.precision - field.kind.scale} digits before the point and ` +
        `${field.kind.scale} after it, as text, for example "49.00"`
      )
    case 'date':
      return 'a day that exists from 1900 to 2299, as YYYY-MM-DD'
    case 'boolean':
      return 'true or false'
    case 'strings':
      return `a list of at most ${maxElements} texts`
    case 'doubles':
      return `an object of at most ${maxElements} numbers`
    case 'string':
      if (field.oneOf !== undefined) return `one of ${field.oneOf.join(', ')}`
      if (field.pattern !== undefined) {
        return `text that matches ${field.pattern}${example === undefined ? '' : `, for example ${example}`}`
      }
      return `text of at most ${maxTextCharacters} characters, without NUL or lone surrogates`
  }
}

const ofUnit = ({ unit }: Field): string =>
  unit === undefined ? '' : unit === 'ratio' ? ' (a ratio)' : ` of ${unit}`

const range = ({ minimum, maximum }: Field): string => {
  if (minimum !== undefined && maximum !== undefined) return ` from ${minimum} to ${maximum}`
  if (minimum !== undefined) return ` of at least ${minimum}`
  return maximum === undefined ? '' : ` of at most ${maximum}`
}

/** What came, shallow and short: the value may be deep, huge or somebody's mail address. */
export const got = (value: unknown, isPersonal = false): string => {
  if (value === undefined) return 'nothing'
  if (value === null) return 'null'
  if (Array.isArray(value)) return `a list of ${value.length}`
  if (typeof value === 'object') return 'an object'
  if (typeof value !== 'string') return String(value)
  if (isPersonal) return `a text of ${value.length} characters`
  const shown = value.length > 60 ? `${value.slice(0, 60)}...` : value
  return JSON.stringify(shown.toWellFormed())
}
