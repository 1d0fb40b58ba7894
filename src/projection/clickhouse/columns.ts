import type { EventDefinition } from '../../define/catalog.ts'
import type { Field, FieldKind } from '../../define/field.ts'

export interface TableColumn {
  readonly name: string
  readonly type: string
}

/**
 * What every table has, and the one name over all of them: whose event it is (the field that analytics joins
 * on), when it happened, when the log took it, and where in the log it stands.
 */
export const metadataColumns: readonly TableColumn[] = [
  { name: '_subject', type: 'String' },
  { name: '_time', type: "DateTime64(3, 'UTC')" },
  { name: '_appended_at', type: "DateTime64(3, 'UTC')" },
  { name: '_event_id', type: 'String' },
  { name: '_source', type: 'LowCardinality(String)' },
  { name: '_type', type: 'LowCardinality(String)' },
  { name: '_topic', type: 'LowCardinality(String)' },
  { name: '_partition', type: 'UInt32' },
  { name: '_offset', type: 'UInt64' },
]

/** An event's own columns, under their published names. Personal fields never reach ClickHouse. */
export const dataColumns = (event: EventDefinition): TableColumn[] =>
  event.fields
    .filter((field) => field.personal === undefined)
    .map((field) => ({ name: field.name, type: typeOf(field) }))

/** The field that analytics joins on: the topic's `joinsOn` where the event has it, else its subject. */
export const subjectField = ({ topic, fields }: EventDefinition): Field =>
  fields.find((field) => field.name === topic.joinsOn) ??
  fields.find((field) => field.name === topic.subject)!

export const quoted = (identifier: string): string => `\`${identifier.replace(/[\\`]/g, '\\$&')}\``

export const columnList = (columns: readonly TableColumn[]): string =>
  columns.map(({ name, type }) => `${quoted(name)} ${type}`).join(', ')

const typeOf = ({ kind, nullable, oneOf }: Field): string => {
  if (kind.is === 'string' && oneOf !== undefined) {
    return nullable ? 'LowCardinality(Nullable(String))' : 'LowCardinality(String)'
  }
  // ClickHouse has no nullable arrays and maps: an absent one is empty.
  if (!nullable || kind.is === 'strings' || kind.is === 'doubles') return plainTypeOf(kind)
  return `Nullable(${plainTypeOf(kind)})`
}

const plainTypeOf = (kind: FieldKind): string => {
  switch (kind.is) {
    case 'string':
      return 'String'
    case 'integer':
      return 'Int64'
    case 'double':
      return 'Float64'
    case 'boolean':
      return 'Bool'
    case 'decimal':
      return `Decimal(${kind.precision}, ${kind.scale})`
    // Date ends in 1970 on one side and would wrap silently.
    case 'date':
      return 'Date32'
    case 'strings':
      return 'Array(String)'
    case 'doubles':
      return 'Map(String, Float64)'
    default:
      return kind satisfies never
  }
}
