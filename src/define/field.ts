import { EmbudoError } from './error.ts'

/** Avro as the `.avsc` files of this project write it: records of the kinds below, nothing deeper. */
export interface AvroRecord {
  readonly type: 'record'
  readonly namespace: string
  readonly name: string
  readonly doc?: string
  readonly fields: readonly AvroField[]
}

interface AvroField {
  readonly name: string
  readonly type: unknown
  readonly doc?: string
  readonly default?: unknown
  readonly [property: `embudo.${string}`]: unknown
}

export type FieldKind =
  | { readonly is: 'string' | 'integer' | 'double' | 'boolean' | 'date' | 'strings' | 'doubles' }
  | { readonly is: 'decimal'; readonly precision: number; readonly scale: number }

/** One field of an event, as validation, generated types, table columns and questions need to know it. */
export interface Field {
  readonly name: string
  readonly kind: FieldKind
  readonly nullable: boolean
  readonly personal: PersonalTag | undefined
  readonly doc: string | undefined
  readonly unit: string | undefined
  readonly minimum: number | undefined
  readonly maximum: number | undefined
  readonly pattern: string | undefined
  readonly oneOf: readonly string[] | undefined
}

export interface PersonalTag {
  /** The field that names whose it is. */
  readonly of: string
  readonly group: string
  readonly id: string
}

export const fieldsOf = (record: AvroRecord): Field[] =>
  record.fields.map((field) => {
    const nullable = Array.isArray(field.type)
    return {
      name: field.name,
      kind: kindOf(nullable ? (field.type as unknown[])[1] : field.type, record, field),
      nullable,
      personal: field['embudo.personal'] as PersonalTag | undefined,
      doc: field.doc,
      unit: field['embudo.unit'] as string | undefined,
      minimum: field['embudo.minimum'] as number | undefined,
      maximum: field['embudo.maximum'] as number | undefined,
      pattern: field['embudo.pattern'] as string | undefined,
      oneOf: field['embudo.oneOf'] as string[] | undefined,
    }
  })

const kindOf = (type: unknown, record: AvroRecord, field: AvroField): FieldKind => {
  if (type === 'string' || type === 'double' || type === 'boolean') return { is: type }
  if (type === 'long') return { is: 'integer' }
  if (typeof type === 'object' && type !== null) {
    const t = type as Record<string, unknown>
    if (t.type === 'bytes' && t.logicalType === 'decimal') {
      return { is: 'decimal', precision: Number(t.precision), scale: Number(t.scale ?? 0) }
    }
    if (t.type === 'int' && t.logicalType === 'date') return { is: 'date' }
    if (t.type === 'array' && t.items === 'string') return { is: 'strings' }
    if (t.type === 'map' && t.values === 'double') return { is: 'doubles' }
  }
  throw new EmbudoError(
    'schema_unsupported',
    `${record.namespace}.${record.name}: field ${field.name} has the type ${JSON.stringify(type)}; use string, long, double, ` +
      'boolean, a decimal of bytes, a date of int, an array of string or a map of double, or ["null", one of them]',
  )
}
