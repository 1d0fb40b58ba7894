import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import * as generated from '../../../schemas/events.generated.ts'
import { catalogOf } from '../../../src/define/catalog.ts'
import { type AvroRecord, type Field, fieldsOf } from '../../../src/define/field.ts'
import { avroType } from '../../../src/log/codec.ts'
import { skipperOf } from '../../../src/projection/clickhouse/skipper.ts'

const everyKind: AvroRecord = {
  type: 'record',
  namespace: 'embudo.test',
  name: 'every_kind',
  fields: [
    { name: 'text', type: 'string' },
    { name: 'count', type: 'long' },
    { name: 'share', type: 'double' },
    { name: 'is', type: 'boolean' },
    { name: 'amount', type: { type: 'bytes', logicalType: 'decimal', precision: 18, scale: 4 } },
    { name: 'day', type: { type: 'int', logicalType: 'date' } },
    { name: 'reasons', type: { type: 'array', items: 'string' } },
    { name: 'scores', type: { type: 'map', values: 'double' } },
    { name: 'maybe', type: ['null', 'string'] },
  ],
}
const schemas = [everyKind, ...[...catalogOf(generated).events.values()].map((event) => event.current.schema)]

const dataOf = ({ kind, nullable }: Field): fc.Arbitrary<unknown> => {
  const values = {
    string: fc.oneof(fc.string({ unit: 'grapheme' }), fc.string({ minLength: 60, maxLength: 200 })),
    integer: fc.integer({ min: -(2 ** 52), max: 2 ** 52 }),
    double: fc.double({ noNaN: true }),
    boolean: fc.boolean(),
    decimal: fc.bigInt({ min: -(10n ** 18n), max: 10n ** 18n }).map((units) => `${units / 10_000n}`),
    date: fc
      .integer({ min: 0, max: 20_000 })
      .map((day) => new Date(day * 86_400_000).toISOString().slice(0, 10)),
    strings: fc.array(fc.string()),
    doubles: fc.dictionary(fc.string(), fc.double({ noNaN: true })),
  }
  const value: fc.Arbitrary<unknown> = values[kind.is]
  return nullable ? fc.option(value) : value
}

const encoded = fc
  .constantFrom(...schemas)
  .chain((schema) =>
    fc
      .record(Object.fromEntries(fieldsOf(schema).map((field) => [field.name, dataOf(field)])))
      .map((data) => ({ schema, bytes: avroType(schema).toBuffer(data) })),
  )

describe('a skipper', () => {
  it('ends where the record ends', () => {
    fc.assert(
      fc.property(encoded, fc.uint8Array({ maxLength: 9 }), ({ schema, bytes }, behind) => {
        const within = Buffer.concat([Buffer.from([0, 0, 0, 0, 1]), bytes, behind])
        expect(skipperOf(schema)(within, 5)).toBe(5 + bytes.length)
      }),
    )
  })

  it('never ends at the last byte of a record that was cut off', () => {
    fc.assert(
      fc.property(encoded, fc.nat(), ({ schema, bytes }, at) => {
        const cut = bytes.subarray(0, at % bytes.length)
        expect(skipperOf(schema)(cut, 0)).not.toBe(cut.length)
      }),
    )
  })

  it('comes to an end whatever the bytes are', () => {
    fc.assert(
      fc.property(fc.constantFrom(...schemas), fc.uint8Array({ maxLength: 64 }), (schema, bytes) => {
        expect(skipperOf(schema)(Buffer.from(bytes), 0)).toBeTypeOf('number')
      }),
      { numRuns: 1_000 },
    )
  })

  it('refuses a decimal of more bytes than its column has', () => {
    const schema = { ...everyKind, fields: [everyKind.fields[4]!] }
    expect(skipperOf(schema)(Buffer.from([16, 1, 2, 3, 4, 5, 6, 7, 8]), 0)).toBe(9)
    expect(skipperOf(schema)(Buffer.from([18, 0, 1, 2, 3, 4, 5, 6, 7, 8]), 0)).toBe(-1)
  })

  it('refuses a decimal of no bytes', () => {
    const schema = { ...everyKind, fields: [everyKind.fields[4]!] }
    expect(skipperOf(schema)(Buffer.from([0]), 0)).toBe(-1)
  })

  it('refuses a date that is no number of 32 bits', () => {
    const schema = { ...everyKind, fields: [everyKind.fields[5]!] }
    const largest = [0xfe, 0xff, 0xff, 0xff, 0x0f]
    const smallest = [0xff, 0xff, 0xff, 0xff, 0x0f]
    const tooLarge = [0x80, 0x80, 0x80, 0x80, 0x10]
    const wider = [0xfe, 0xff, 0xff, 0xff, 0xff, 0x01]
    const ends = [largest, smallest, tooLarge, wider].map((bytes) => skipperOf(schema)(Buffer.from(bytes), 0))
    expect(ends).toEqual([5, 5, -1, -1])
  })
})
