import type { EventVersion } from './catalog.ts'
import { type Field, fieldsOf } from './field.ts'

/**
 * The source of schemas/events.generated.ts: the types of every event's data, and the list of all topics and
 * schema versions. Pure; `embudo schemas generate` writes it, `make check` fails where it is not current.
 */
export const generatedSource = (
  versions: readonly EventVersion[],
  topics: readonly string[],
  upcasts: readonly { readonly topic: string; readonly type: string; readonly version: number }[],
): string => {
  const current = [...Map.groupBy(versions, (version) => version.type).values()].map(
    (all) => all.toSorted((a, b) => b.version - a.version)[0]!,
  )
  const byTopic = Map.groupBy(current, (version) => version.topic)
  const usesPersonal = current.some(({ schema }) =>
    fieldsOf(schema).some((field) => field.personal !== undefined),
  )
  return [
    '// Generated from the .avsc files by `npx embudo schemas generate`. Do not edit.',
    "import type { EventVersion } from '../src/define/catalog.ts'",
    `import type { Decimal${usesPersonal ? ', Personal' : ''} } from '../src/define/event.ts'`,
    ...topics.map((topic) => `import { ${topic} } from './${topic}/topic.ts'`),
    ...upcasts.map(
      (u) => `import { upcast as ${upcastName(u)} } from './${u.topic}/${u.type}/${u.version}.upcast.ts'`,
    ),
    '',
    ...current.flatMap(({ type, schema }) => [
      ...(schema.doc === undefined ? [] : [`/** ${schema.doc} */`]),
      `export interface ${pascal(type)} {`,
      ...fieldsOf(schema).flatMap(fieldSource),
      '}',
      '',
    ]),
    "declare module '../src/define/event.ts' {",
    '  interface EventCatalog {',
    ...[...byTopic].flatMap(([topic, events]) => [
      `    ${topic}: {`,
      ...events.map(({ type }) => `      ${type}: ${pascal(type)}`),
      '    }',
    ]),
    '  }',
    '}',
    '',
    `export const topics = [${topics.join(', ')}] as const`,
    '',
    'export const upcasts = {',
    ...upcasts.map((u) => `  '${u.type}/${u.version}': ${upcastName(u)},`),
    '}',
    '',
    'export const versions: readonly EventVersion[] = [',
    ...versions.map((version) => `  ${JSON.stringify(version)},`),
    ']',
    '',
  ].join('\n')
}

const fieldSource = (field: Field): string[] => {
  const notes = [field.doc, field.unit === undefined ? undefined : `In ${field.unit}.`].filter((note) => note)
  return [
    ...(notes.length === 0 ? [] : [`  /** ${notes.join('. ')} */`]),
    `  readonly ${field.name}: ${typeSource(field)}${field.nullable ? ' | null' : ''}`,
  ]
}

const typeSource = ({ kind, personal, oneOf }: Field): string => {
  if (personal !== undefined) return 'Personal<string>'
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
      return 'Decimal'
    case 'strings':
      return 'readonly string[]'
    case 'doubles':
      return 'Readonly<Record<string, number>>'
    default:
      return kind satisfies never
  }
}

const pascal = (type: string): string =>
  type.replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase())

const upcastName = ({ type, version }: { readonly type: string; readonly version: number }): string =>
  `${type}_${version}`
