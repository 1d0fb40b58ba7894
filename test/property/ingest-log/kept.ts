import { expect } from 'vitest'
import type { LogRecord } from '../../faults/whole-program/log-reader.ts'
import type { SchemaField, SchemaOfEvent } from './schemas.ts'
import { type Event, schemas } from './sent.ts'

/** Fails unless a record says what was sent, to the last digit. Shares nothing with the code that wrote it. */
export const expectKept = (sent: Event, record: LogRecord, answeredId?: string): void => {
  const schema = schemas.get(String(sent.type))
  if (schema === undefined) throw new Error(`${sent.type} was taken`)
  expect(record.topic.endsWith(`.${schema.topic}`), record.topic).toBe(true)
  expect(record.key).toBe(sent.data[schema.key])
  expectHeaders(sent, schema, record, answeredId)
  expect(Object.keys(record.data)).toEqual(schema.fields.map(({ name }) => name))
  expect(Object.keys(sent.data).filter((name) => !(name in record.data))).toEqual([])
  for (const field of schema.fields) {
    const kept = record.data[field.name]
    const wanted = keptValue(field, own(sent.data, field.name))
    if (!isSame(kept, wanted)) expect({ [field.name]: kept }).toEqual({ [field.name]: wanted })
  }
}

/** Attributes that have a header of their own kind, or none. */
const notExtensions = new Set([
  ...[
    'specversion',
    'id',
    'source',
    'type',
    'time',
    'subject',
    'datacontenttype',
    'dataschema',
    'traceparent',
    'data',
  ],
])

const expectHeaders = (
  sent: Event,
  schema: SchemaOfEvent,
  { headers }: LogRecord,
  answeredId: string | undefined,
): void => {
  const { ce_id: id, ce_time: time, ...others } = headers
  const { traceparent } = sent
  const extensions = Object.entries(sent).filter(
    ([name, value]) => !notExtensions.has(name) && value !== null && value !== undefined,
  )
  expect(others).toEqual({
    ce_specversion: '1.0',
    ce_source: sent.source ?? 'http',
    ce_type: sent.type,
    ce_dataschema: `embudo:${schema.type}/${schema.version}`,
    'content-type': 'application/avro',
    ...(typeof traceparent === 'string' && isTraceparent(traceparent) ? { traceparent } : {}),
    ...Object.fromEntries(extensions.map(([name, value]) => [`ce_${name}`, String(value)])),
  })
  if (typeof sent.id === 'string') expect(id).toBe(sent.id)
  else expect(id).toMatch(/^[0-9a-f-]{36}$/)
  if (answeredId !== undefined) expect(id).toBe(answeredId)
  expect(time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  if (typeof sent.time === 'string') expect(Date.parse(time ?? '')).toBe(millisecondsOf(sent.time))
  else expect(Math.abs(Date.parse(time ?? '') - Date.now())).toBeLessThan(600_000)
}

const isTraceparent = (text: string): boolean => {
  const [version = '', trace = '', span = '', flags = '', ...more] = text.split('-')
  return (
    more.length === 0 &&
    [version, trace, span, flags].every(
      (part, n) => part.length === [2, 32, 16, 2][n] && /^[0-9a-f]*$/.test(part),
    ) &&
    /[^0]/.test(trace) &&
    /[^0]/.test(span)
  )
}

/** RFC 3339 by hand; what is finer than a millisecond is cut off, towards the past. */
const millisecondsOf = (text: string): number => {
  const [day = '', rest = ''] = text.split(/[Tt]/)
  const [year = 0, month = 0, date = 0] = day.split('-').map(Number)
  const [, hour, minute, second, fraction = '', zone = ''] =
    /^(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(.+)$/.exec(rest) ?? []
  const local =
    Date.UTC(year, month - 1, date, Number(hour), Number(minute), Number(second)) +
    Number(fraction.padEnd(3, '0').slice(0, 3))
  if (/^z$/i.test(zone)) return local
  const [hours = 0, minutes = 0] = zone.slice(1).split(':').map(Number)
  const ahead = (hours * 60 + minutes) * 60_000
  return zone.startsWith('-') ? local + ahead : local - ahead
}

const keptValue = (field: SchemaField, sent: unknown): unknown => {
  if (sent === undefined || sent === null) return null
  const { kind } = field
  if (kind.is === 'decimal') return unitsOf(sent, kind.scale)
  if (kind.is === 'date') return Date.parse(`${String(sent)}T00:00:00Z`) / 86_400_000
  // What a caller sends is never taken for what the program has sealed.
  if (field.isPersonal && /^emb[01]\./.test(String(sent))) return `emb0.${String(sent)}`
  return sent
}

const unitsOf = (amount: unknown, scale: number): bigint => {
  const [, sign, whole = '', fraction = ''] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(String(amount)) ?? []
  if (fraction.slice(scale).replaceAll('0', '') !== '') throw new Error(`digits of ${amount} are lost`)
  const units = BigInt(whole + fraction.slice(0, scale).padEnd(scale, '0'))
  return sign === '-' ? -units : units
}

/** -0 of a whole number or amount is 0; that of a double stays. */
const isSame = (kept: unknown, wanted: unknown): boolean => {
  if (typeof kept === 'object' && typeof wanted === 'object' && kept !== null && wanted !== null) {
    const names = Object.keys(wanted)
    return (
      names.length === Object.keys(kept).length &&
      names.every((name) =>
        isSame(own(kept as Record<string, unknown>, name), own(wanted as Record<string, unknown>, name)),
      )
    )
  }
  return Object.is(kept, wanted) || (kept === 0 && wanted === 0)
}

const own = (value: Record<string, unknown>, name: string): unknown =>
  Object.hasOwn(value, name) ? value[name] : undefined
