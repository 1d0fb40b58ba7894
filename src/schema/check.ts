import avro from 'avsc'
import type { EventVersion } from '../define/catalog.ts'
import { messageOf } from '../define/error.ts'
import { type AvroRecord, type Field, fieldsOf } from '../define/field.ts'

/** Why a version of an event may not stand beside the others. */
export interface SchemaProblem {
  readonly event: string
  readonly version: number
  /** The earlier version that it does not go with. */
  readonly against: number | undefined
  readonly field: string | undefined
  readonly code:
    | 'version_missing'
    | 'subject_field'
    | 'no_default'
    | 'unreadable'
    | 'kind_changed'
    | 'unit_changed'
    | 'personal_changed'
    | 'default_changed'
  readonly detail: string
}

/**
 * Every version against each of its predecessors, both ways (Confluent's FULL_TRANSITIVE), and besides what
 * Avro's rules let through but folds and erasures do not survive. `subjectOf` gives the key field of a topic.
 */
export const checkSchemas = (
  versions: readonly EventVersion[],
  subjectOf: (topic: string) => string | undefined,
): SchemaProblem[] =>
  [...Map.groupBy(versions, ({ type }) => type).values()].flatMap((ofEvent) => {
    const ascending = ofEvent.toSorted((a, b) => a.version - b.version)
    return ascending.flatMap((version, index) => [
      ...(version.version === index + 1 ? [] : [numberMissing(version, index + 1)]),
      ...checkAlone(version, subjectOf(version.topic)),
      ...ascending.slice(0, index).flatMap((earlier) => checkPair(earlier, version)),
    ])
  })

const numberMissing = (version: EventVersion, expected: number): SchemaProblem =>
  about(
    version,
    'version_missing',
    `the versions must be 1, 2, ... without a gap; there is no ${expected}.avsc`,
  )

/** The key has no default, since nothing is an event of nobody; every other field has one, or it could never change. */
const checkAlone = (version: EventVersion, subject: string | undefined): SchemaProblem[] => {
  const key = version.schema.fields.find(({ name }) => name === subject)
  const problems: SchemaProblem[] = []
  if (key === undefined || key.type !== 'string' || 'default' in key) {
    const wanted =
      subject === undefined
        ? 'a topic.ts that names the key field'
        : `the field ${subject}, a string without default`
    problems.push(
      about(version, 'subject_field', `the topic ${version.topic} needs ${wanted}`, { field: subject }),
    )
  }
  for (const field of version.schema.fields) {
    if (field.name === subject || 'default' in field) continue
    const detail =
      'every field besides the key needs a default, or it could never be taken away or added again'
    problems.push(about(version, 'no_default', detail, { field: field.name }))
  }
  return problems
}

const checkPair = (earlier: EventVersion, later: EventVersion): SchemaProblem[] => {
  const problems = [
    ...unreadable(
      earlier,
      later,
      `records of version ${earlier.version} cannot be read as version ${later.version}`,
    ),
    ...unreadable(
      later,
      earlier,
      `records of version ${later.version} cannot be read as version ${earlier.version}`,
    ).map((problem) => ({ ...problem, version: later.version, against: earlier.version })),
  ]
  const before = new Map(fieldsOf(earlier.schema).map((field) => [field.name, field]))
  const pairs = fieldsOf(later.schema).flatMap((field): [Field, Field][] => {
    const old = before.get(field.name)
    return old === undefined ? [] : [[old, field]]
  })
  for (const [old, field] of pairs) {
    const change = (code: SchemaProblem['code'], detail: string) =>
      problems.push(about(later, code, detail, { against: earlier.version, field: field.name }))
    if (!same(old.kind, field.kind)) {
      change(
        'kind_changed',
        `was ${kindText(old)}, is ${kindText(field)}: what was added up before would mean something else; add a new field`,
      )
    }
    if (old.unit !== field.unit) {
      change(
        'unit_changed',
        `was in ${old.unit ?? 'no unit'}, is in ${field.unit ?? 'no unit'}: old and new numbers would be mixed; add a new field`,
      )
    }
    if (!same(old.personal, field.personal)) {
      change(
        'personal_changed',
        'whose personal data a field is cannot change: what is in the log is sealed for its first owner; add a new field',
      )
    }
    const [oldDefault, newDefault] = [
      defaultOf(earlier.schema, field.name),
      defaultOf(later.schema, field.name),
    ]
    if (!same(oldDefault, newDefault)) {
      change(
        'default_changed',
        `the default was ${JSON.stringify(oldDefault)}, is ${JSON.stringify(newDefault)}: old records would read differently after a rebuild`,
      )
    }
  }
  return problems
}

const unreadable = (writer: EventVersion, reader: EventVersion, what: string): SchemaProblem[] => {
  try {
    typeOf(reader.schema).createResolver(typeOf(writer.schema))
    return []
  } catch (error) {
    return [about(reader, 'unreadable', `${what}: ${messageOf(error)}`, { against: writer.version })]
  }
}

const typeOf = (schema: AvroRecord): avro.Type =>
  avro.Type.forSchema(structuredClone(schema) as avro.Schema, { registry: {} })

const defaultOf = (schema: AvroRecord, name: string): unknown =>
  schema.fields.find((field) => field.name === name)?.default

const same = (one: unknown, other: unknown): boolean => JSON.stringify(one) === JSON.stringify(other)

export const kindText = ({ kind, nullable }: Field): string => {
  const name = kind.is === 'decimal' ? `decimal(${kind.precision}, ${kind.scale})` : kind.is
  return nullable ? `${name} or null` : name
}

const about = (
  { type, version }: EventVersion,
  code: SchemaProblem['code'],
  detail: string,
  more: { readonly against?: number; readonly field?: string | undefined } = {},
): SchemaProblem => ({ event: type, version, against: more.against, field: more.field, code, detail })
