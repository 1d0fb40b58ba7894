import type { EventDefinition } from '../define/catalog.ts'
import type { Field } from '../define/field.ts'

/** An event that is taken as it stands, for the catalogue and the OpenAPI document. */
export const exampleEvent = (
  event: EventDefinition,
): { type: string; source: string; time: string; data: Record<string, unknown> } => ({
  type: event.type,
  source: 'docs',
  time: '2026-11-20T10:00:00Z',
  data: Object.fromEntries(event.fields.map((field) => [field.name, exampleValue(field)])),
})

const exampleValue = (field: Field): unknown => {
  switch (field.kind.is) {
    case 'string':
      return exampleText(field)
    case 'integer':
      return within(field, 2710)
    case 'double':
      return within(field, 0.83)
    case 'boolean':
      return true
    case 'decimal':
      return '49.00'
    case 'date':
      return '2026-11-20'
    case 'strings':
      return ['too short']
    case 'doubles':
      return { readability: 0.83 }
  }
}

const exampleText = ({ name, doc, oneOf }: Field): string => {
  if (oneOf !== undefined) return oneOf[0]!
  // "ISO 4217, for example EUR": the schema's own word for it.
  const own = doc?.match(/for example (\S+?)[.,]?(?:\s|$)/)?.[1]
  if (own !== undefined) return own
  if (/email/i.test(name)) return 'ada@example.com'
  return name.endsWith('Id') ? `${name.slice(0, 1).toUpperCase()}-1` : 'example'
}

const within = (
  { minimum = Number.NEGATIVE_INFINITY, maximum = Number.POSITIVE_INFINITY }: Field,
  value: number,
): number => Math.min(maximum, Math.max(minimum, value))
