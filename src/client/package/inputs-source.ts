import type { EventVersion } from '../../define/catalog.ts'
import { type Field, fieldsOf } from '../../define/field.ts'

/**
 * event-inputs.ts as the package has it: what each event's sender gives, written out from the schemas, so that its
 * declarations stand by themselves. Here amounts may be numbers too, which the source's `Decimal` cannot tell from
 * other texts.
 */
export const inputsSource = (versions: readonly EventVersion[]): string => {
  const current = [...Map.groupBy(versions, ({ type }) => type).values()].map(
    (all) => all.toSorted((a, b) => b.version - a.version)[0]!,
  )
  return [
    '/** What a sender gives for each event type of the catalogue. */',
    'export interface EventInputs {',
    ...current.flatMap(({ type, schema }) => [
      ...(schema.doc === undefined ? [] : [`  /** ${schema.doc} */`]),
      `  readonly ${type}: {`,
      ...fieldsOf(schema).flatMap(fieldSource),
      '  }',
    ]),
    '}',
    '',
  ].join('\n')
}

const fieldSource = (field: Field): string[] => {
  const notes = [field.doc, field.unit === undefined ? undefined : `In ${field.unit}.`].filter((note) => note)
  const type = typeSource(field)
  return [
    ...(notes.length === 0 ? [] : [`    /** ${notes.join('. ')} */`]),
    `    readonly ${field.name}${field.nullable ? '?' : ''}: ${type}${field.nullable ? ' | null | undefined' : ''}`,
  ]
}

const typeSource = ({ kind, oneOf }: Field): string => {
  switch (kind.is) {
    case 'string':
      return oneOf === undefined ? 'string' : oneOf.map((value) => `'${value}'`).join(' | ')
    case 'date':
      return 'string'
    case 'integer':
    case 'double':
      return 'number'
    case 'boolean':
      return 'boolean'
    case 'decimal':
      return 'string | number'
    case 'strings':
      return 'readonly string[]'
    case 'doubles':
      return 'Readonly<Record<string, number>>'
    default:
      return kind satisfies never
  }
}
