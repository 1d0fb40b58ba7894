import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A field of an event, as its `.avsc` file says, read without the program's own code. */
export interface SchemaField {
  readonly name: string
  readonly kind: Kind
  readonly isNullable: boolean
  readonly isPersonal: boolean
  readonly minimum: number | undefined
  readonly maximum: number | undefined
  readonly pattern: string | undefined
  readonly oneOf: readonly string[] | undefined
}

export type Kind =
  | { readonly is: 'string' | 'long' | 'double' | 'boolean' | 'date' | 'texts' | 'doubles' }
  | { readonly is: 'decimal'; readonly precision: number; readonly scale: number }

export interface SchemaOfEvent {
  readonly type: string
  readonly version: number
  readonly topic: string
  readonly fields: readonly SchemaField[]
  /** The field that is the key, and those that take ids like it. */
  readonly key: string
  readonly ids: ReadonlySet<string>
}

interface AvscField {
  readonly name: string
  readonly type: unknown
  readonly [property: string]: unknown
}

const folder = join(import.meta.dirname, '..', '..', '..', 'schemas')

/** Every event that others may send, in its highest version, from the files. */
export const eventSchemas = (): SchemaOfEvent[] =>
  readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !isInternal(entry.name))
    .flatMap(({ name: topic }) =>
      readdirSync(join(folder, topic), { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map(({ name }) => eventSchema(topic, name)),
    )

const isInternal = (topic: string): boolean =>
  readFileSync(join(folder, topic, 'topic.ts'), 'utf8').includes('isInternal: true')

const eventSchema = (topic: string, type: string): SchemaOfEvent => {
  const versions = readdirSync(join(folder, topic, type)).flatMap((file) => {
    const version = /^(\d+)\.avsc$/.exec(file)?.[1]
    return version === undefined ? [] : [Number(version)]
  })
  const version = Math.max(...versions)
  const record = JSON.parse(readFileSync(join(folder, topic, type, `${version}.avsc`), 'utf8')) as {
    fields: AvscField[]
  }
  const source = readFileSync(join(folder, topic, 'topic.ts'), 'utf8')
  const named = (property: string) => new RegExp(`${property}: '(\\w+)'`).exec(source)?.[1]
  const key = named('subject') ?? ''
  const joinsOn = named('joinsOn')
  return {
    ...{ type, version, topic, key },
    ids: new Set([key, ...(joinsOn === undefined ? [] : [joinsOn])]),
    fields: record.fields.map(fieldOf),
  }
}

const fieldOf = (field: AvscField): SchemaField => {
  const isNullable = Array.isArray(field.type)
  return {
    name: field.name,
    kind: kindOf(Array.isArray(field.type) ? field.type[1] : field.type),
    isNullable,
    isPersonal: 'embudo.personal' in field,
    minimum: field['embudo.minimum'] as number | undefined,
    maximum: field['embudo.maximum'] as number | undefined,
    pattern: field['embudo.pattern'] as string | undefined,
    oneOf: field['embudo.oneOf'] as string[] | undefined,
  }
}

const kindOf = (type: unknown): Kind => {
  if (type === 'string' || type === 'long' || type === 'double' || type === 'boolean') return { is: type }
  const { type: base, logicalType, precision, scale } = type as Record<string, unknown>
  if (logicalType === 'decimal')
    return { is: 'decimal', precision: Number(precision), scale: Number(scale ?? 0) }
  if (logicalType === 'date') return { is: 'date' }
  return { is: base === 'array' ? 'texts' : 'doubles' }
}
