import avro from 'avsc'
import type { Catalog, EventDefinition } from '../define/catalog.ts'
import { EmbudoError, messageOf } from '../define/error.ts'
import type { DomainEvent } from '../define/event.ts'
import type { AvroRecord } from '../define/field.ts'
import { fromUnits, toUnits } from '../define/money.ts'
import { ForeignSchemas } from './foreign-schemas.ts'
import { isoMs } from './iso-time.ts'
import type { LogRecord } from './port.ts'

/** Which event, in which version and by which schema, a record's bytes are. */
export interface Writer {
  readonly schemaId: number
  readonly event: EventDefinition
  /** Undefined for a schema that somebody else registered under the event's subject. */
  readonly version: number | undefined
  readonly type: avro.Type
  readonly schema: AvroRecord
}

/** Confluent's framing: a magic byte 0, the schema's id in 4 bytes, then Avro's binary encoding. */
export const framingBytes = 5

/**
 * Between events and the bytes of the log. Reading resolves a record from its writer's schema to the current
 * one (resolvers are kept by schema id: building one costs 300 times what using it does), or through upcasts
 * where the event has them.
 */
export class Codec {
  readonly #catalog: Catalog
  readonly #encoders = new Map<string, { schemaId: number; type: avro.Type }>()
  readonly #writers = new Map<number, Writer & { readonly read: (body: Buffer) => Record<string, unknown> }>()
  readonly #fetchSchema: (schemaId: number) => Promise<AvroRecord>
  readonly #foreign: ForeignSchemas
  #scratch = Buffer.allocUnsafeSlow(64 * 1024)

  /** `ids`: the registry's id of every version, by `<event>/<version>`. */
  constructor(
    catalog: Catalog,
    ids: ReadonlyMap<string, number>,
    fetchSchema: (schemaId: number) => Promise<AvroRecord>,
    nowMs: () => number = Date.now,
  ) {
    this.#catalog = catalog
    this.#foreign = new ForeignSchemas(nowMs)
    this.#fetchSchema = fetchSchema
    for (const event of catalog.events.values()) {
      for (const { version, schema } of event.versions) {
        const schemaId = ids.get(`${event.type}/${version}`)
        if (schemaId === undefined)
          throw new EmbudoError('schema_unregistered', `${event.type}/${version} has no id`)
        this.#add(schemaId, event, version, schema)
        if (version === event.current.version) {
          this.#encoders.set(event.type, { schemaId, type: avroType(schema) })
        }
      }
    }
  }

  /** The framed value of an event in its current version. `data` must have been validated. */
  encode(eventType: string, data: unknown): Buffer {
    return Buffer.from(this.encodeShared(eventType, data))
  }

  /** The same without a copy: good until the next call. */
  encodeShared(eventType: string, data: unknown): Buffer {
    const encoder = this.#encoders.get(eventType)
    if (encoder === undefined) throw new EmbudoError('unknown_event_type', `there is no event ${eventType}`)
    let end = encoder.type.encode(data, this.#scratch, framingBytes)
    if (end < 0) {
      this.#scratch = Buffer.allocUnsafeSlow((this.#scratch.length - end) * 2)
      end = encoder.type.encode(data, this.#scratch, framingBytes)
    }
    this.#scratch[0] = 0
    this.#scratch.writeInt32BE(encoder.schemaId, 1)
    return this.#scratch.subarray(0, end)
  }

  /** Who wrote a value, if that is known already; `learn` asks the registry. */
  writerOf(value: Buffer): Writer | undefined {
    return this.#writers.get(schemaIdOf(value))
  }

  /** Whether `learn` would not ask the registry: who wrote it is known, or that it is no event's. */
  hasLearnt(value: Buffer): boolean {
    const schemaId = schemaIdOf(value)
    return this.#writers.has(schemaId) || this.#foreign.has(schemaId)
  }

  /** Why `learn` found no writer for it. */
  refusalOf(value: Buffer): EmbudoError | undefined {
    return this.#foreign.of(schemaIdOf(value))
  }

  /**
   * Throws `schema_foreign` where the registry's schema of that id is of no event of the catalogue, or none that its
   * records can be read by. What does not pass is remembered for a while.
   */
  async learn(value: Buffer): Promise<Writer> {
    const schemaId = schemaIdOf(value)
    const known = this.#writers.get(schemaId)
    if (known !== undefined) return known
    if (this.#foreign.has(schemaId)) throw this.#foreign.of(schemaId)
    try {
      return this.#writerBy(schemaId, await this.#fetchSchema(schemaId))
    } catch (error) {
      if (error instanceof EmbudoError && !error.retriable) this.#foreign.note(schemaId, error)
      throw error
    }
  }

  /** The data in the event's current version. The writer must be known. */
  data(value: Buffer): Record<string, unknown> {
    const writer = this.#writers.get(schemaIdOf(value))
    if (writer === undefined)
      throw new EmbudoError('schema_unknown', `schema ${schemaIdOf(value)} was not learnt before`)
    return writer.read(value)
  }

  /**
   * Decoded once and kept with the record: every fold, tally and saga that reads it gets the same event, and none may
   * change it.
   */
  event(record: LogRecord, topic: string, partition: number): DomainEvent<Record<string, unknown>> {
    const { decoded } = record
    if (decoded instanceof RecordEvent && decoded.codec === this) return decoded
    const value = record.value
    if (value === null)
      throw new EmbudoError('record_empty', `${topic}:${partition}:${record.offset} has no value`)
    const writer = this.#writers.get(schemaIdOf(value))
    if (writer === undefined)
      throw new EmbudoError('schema_unknown', `schema ${schemaIdOf(value)} was not learnt before`)
    const event = new RecordEvent(writer.event.type, writer.read(value), record, topic, partition, this)
    record.decoded = event
    return event
  }

  #writerBy(schemaId: number, schema: AvroRecord): Writer {
    const event = this.#catalog.events.get(schema.name)
    if (event === undefined || schema.namespace !== event.current.schema.namespace) {
      throw new EmbudoError(
        'schema_foreign',
        `schema ${schemaId} is of ${schema.namespace}.${schema.name}, which is no event of the catalogue`,
      )
    }
    try {
      return this.#add(schemaId, event, undefined, schema)
    } catch (cause) {
      throw new EmbudoError(
        'schema_foreign',
        `schema ${schemaId} has the name of ${event.type}, which cannot be read by it: ${messageOf(cause)}`,
        { cause },
      )
    }
  }

  #add(schemaId: number, event: EventDefinition, version: number | undefined, schema: AvroRecord) {
    const type = avroType(schema)
    const writer = { schemaId, event, version, type, schema, read: reader(event, version, type) }
    this.#writers.set(schemaId, writer)
    return writer
  }
}

/** Most folds look at the data and the time alone: headers are scanned for when they are asked for. */
class RecordEvent implements DomainEvent<Record<string, unknown>> {
  readonly type: string
  readonly data: Record<string, unknown>
  readonly topic: string
  readonly partition: number
  readonly #record: LogRecord
  readonly #codec: Codec
  #subject: string | undefined
  #time: string | undefined

  constructor(
    type: string,
    data: Record<string, unknown>,
    record: LogRecord,
    topic: string,
    partition: number,
    codec: Codec,
  ) {
    this.type = type
    this.data = data
    this.topic = topic
    this.partition = partition
    this.#record = record
    this.#codec = codec
  }

  get codec(): Codec {
    return this.#codec
  }
  get id(): string {
    return this.#record.header('ce_id') ?? `${this.topic}:${this.partition}:${this.#record.offset}`
  }
  get source(): string {
    return this.#record.header('ce_source') ?? this.topic
  }
  get time(): string {
    this.#time ??= timeOf(this.#record)
    return this.#time
  }
  get subject(): string {
    this.#subject ??= this.#record.key?.toString('utf8') ?? ''
    return this.#subject
  }
  get offset(): number {
    return this.#record.offset
  }
  get appendedAtMs(): number {
    return this.#record.timestamp
  }
  get correlationId(): string | undefined {
    return this.#record.header('ce_correlationid')
  }
  get causationId(): string | undefined {
    return this.#record.header('ce_causationid')
  }
  get traceparent(): string | undefined {
    return this.#record.header('traceparent')
  }
}

/** -1 where a value is not framed: no registry gives that id. */
export const schemaIdOf = (value: Buffer): number =>
  value.length > framingBytes && value[0] === 0 ? value.readInt32BE(1) : -1

/** When it happened, in the one form whose texts compare as instants; when it was appended, where it says no time. */
export const timeOf = (record: Pick<LogRecord, 'timestamp' | 'header'>): string => {
  const time = record.header('ce_time')
  if (time === undefined) return new Date(record.timestamp).toISOString()
  if (isoMs(time) !== undefined) return time
  const parsed = new Date(time)
  const text = Number.isNaN(parsed.getTime()) ? '' : parsed.toISOString()
  // Years of more than four digits compare as no others do.
  return text.length === 24 ? text : new Date(record.timestamp).toISOString()
}

/** The same in milliseconds since the epoch. */
export const timeMsOf = (record: Pick<LogRecord, 'timestamp' | 'header'>): number => {
  const time = record.header('ce_time')
  if (time === undefined) return record.timestamp
  return isoMs(time) ?? Date.parse(timeOf(record))
}

const reader = (event: EventDefinition, version: number | undefined, writer: avro.Type) => {
  const upcasts =
    version === undefined
      ? []
      : event.versions.slice(version - 1, -1).map((v) => event.upcasts.get(v.version))
  if (upcasts.some((upcast) => upcast !== undefined)) {
    return (value: Buffer): Record<string, unknown> => {
      let data = decode(writer, undefined, value)
      for (const [index, upcast] of upcasts.entries()) {
        data = upcast === undefined ? resolved(data, event, version! + index) : upcast(data)
      }
      return data
    }
  }
  const current = avroType(event.current.schema)
  const resolver = writer.equals(current) ? undefined : current.createResolver(writer)
  const readable = resolver === undefined ? writer : current
  return (value: Buffer): Record<string, unknown> => decode(readable, resolver, value)
}

const decode = (type: avro.Type, resolver: object | undefined, value: Buffer): Record<string, unknown> => {
  const { value: data, offset } = type.decode(value, framingBytes, resolver as never)
  if (offset !== value.length) {
    throw new EmbudoError(
      'record_malformed',
      `the value is ${value.length} bytes long, its schema reads ${offset}`,
    )
  }
  return data as Record<string, unknown>
}

/** From one version to the next by Avro's own rules, for the steps that need no upcast of their own. */
const resolved = (
  data: Record<string, unknown>,
  event: EventDefinition,
  version: number,
): Record<string, unknown> => {
  const from = avroType(event.versions[version - 1]!.schema)
  const to = avroType(event.versions[version]!.schema)
  return to.fromBuffer(from.toBuffer(data), to.createResolver(from)) as Record<string, unknown>
}

const types = new WeakMap<AvroRecord, avro.Type>()

export const avroType = (schema: AvroRecord): avro.Type => {
  const made = types.get(schema)
  if (made !== undefined) return made
  const type = avro.Type.forSchema(structuredClone(schema) as unknown as avro.Schema, {
    logicalTypes: { decimal: DecimalType, date: DateType },
    wrapUnions: false,
  })
  types.set(schema, type)
  return type
}

/** Text outside, big-endian two's complement bytes inside. */
class DecimalType extends avro.types.LogicalType {
  readonly scale: number

  constructor(schema: avro.Schema, options?: object) {
    super(schema, options)
    this.scale = Number((schema as unknown as { scale?: number }).scale ?? 0)
  }

  protected override _fromValue(bytes: unknown): string {
    const hex = (bytes as Buffer).toString('hex')
    return fromUnits(hex === '' ? 0n : BigInt.asIntN(hex.length * 4, BigInt(`0x${hex}`)), this.scale)
  }

  protected override _toValue(text: unknown): Buffer {
    const units = toUnits(String(text), this.scale)
    const length = Math.floor((units < 0n ? -units - 1n : units).toString(2).length / 8) + 1
    return Buffer.from(
      BigInt.asUintN(length * 8, units)
        .toString(16)
        .padStart(length * 2, '0'),
      'hex',
    )
  }

  protected override _resolve(type: avro.Type): unknown {
    const other = type as unknown as { scale?: number }
    return type instanceof DecimalType && other.scale === this.scale ? (text: string) => text : undefined
  }
}

/** "2026-11-20" outside, days since the epoch inside. */
class DateType extends avro.types.LogicalType {
  protected override _fromValue(days: unknown): string {
    return new Date(Number(days) * 86_400_000).toISOString().slice(0, 10)
  }

  protected override _toValue(text: unknown): number {
    return Date.parse(`${text}T00:00:00Z`) / 86_400_000
  }

  protected override _resolve(type: avro.Type): unknown {
    return type instanceof DateType ? (text: string) => text : undefined
  }
}
