/**
 * A Postgres array literal of one column's values. The client's own serialiser looks at each value anew and
 * escapes each; here the column's type is known, which makes it several times faster.
 */
export const arrayLiteral = (values: readonly unknown[], type: string): string => {
  const encode = encoders[type] ?? textElement
  let literal = '{'
  for (let index = 0; index < values.length; index++) {
    const value = values[index]
    if (index > 0) literal += ','
    literal += value === null || value === undefined ? 'NULL' : encode(value)
  }
  return `${literal}}`
}

const plainElement = (value: unknown): string => String(value)
const quotedElement = (value: unknown): string => `"${String(value)}"`
const textElement = (value: unknown): string => escaped(String(value))
const jsonElement = (value: unknown): string => escaped(JSON.stringify(value))

const special = /["\\]/
const specials = /["\\]/g
const escaped = (text: string): string => `"${special.test(text) ? text.replace(specials, '\\$&') : text}"`

const encoders: Readonly<Record<string, (value: unknown) => string>> = {
  integer: plainElement,
  bigint: plainElement,
  'double precision': plainElement,
  boolean: plainElement,
  numeric: quotedElement,
  timestamptz: quotedElement,
  jsonb: jsonElement,
}
