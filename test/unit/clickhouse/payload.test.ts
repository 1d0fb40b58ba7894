import { describe, expect, it } from 'vitest'
import { catalogOf, type GeneratedSchemas } from '../../../src/define/catalog.ts'
import type { AvroRecord } from '../../../src/define/field.ts'
import { avroType, Codec } from '../../../src/log/codec.ts'
import { Payloads } from '../../../src/projection/clickhouse/payload.ts'

const schema = (...fields: AvroRecord['fields']): AvroRecord => ({
  type: 'record',
  namespace: 'embudo.leads',
  name: 'scored',
  fields: [{ name: 'leadId', type: 'string' }, ...fields],
})
const amount = { type: 'bytes', logicalType: 'decimal', precision: 9, scale: 2 }
const versions = [
  schema({ name: 'points', type: 'long', default: 0 }),
  schema(
    { name: 'points', type: 'long', default: 0 },
    { name: 'reason', type: 'string', default: 'none' },
    { name: 'amount', type: ['null', amount], default: null },
  ),
].map((it, index) => ({ topic: 'leads', type: 'scored', version: index + 1, schema: it }))
const generated = {
  topics: [{ name: 'leads', subject: 'leadId', partitions: 1 }],
  versions,
  upcasts: {},
} as unknown as GeneratedSchemas

const codecWith = (upcasts: GeneratedSchemas['upcasts']) =>
  new Codec(
    catalogOf({ ...generated, upcasts }),
    new Map([
      ['scored/1', 1],
      ['scored/2', 2],
    ]),
    async () => schema(),
  )

const framed = (version: 1 | 2, data: object): Buffer =>
  Buffer.concat([Buffer.from([0, 0, 0, 0, version]), avroType(versions[version - 1]!.schema).toBuffer(data)])

/** The bytes that go into the container, read as the current schema. */
const throughPayloads = (value: Buffer, upcasts: GeneratedSchemas['upcasts'] = {}) => {
  const codec = codecWith(upcasts)
  const { bytes, from } = new Payloads(codec).of(codec.writerOf(value)!, value)
  return {
    isUntouched: bytes === value,
    data: { ...avroType(versions[1]!.schema).fromBuffer(bytes.subarray(from)) },
  }
}

describe('a payload', () => {
  it('of the current version is passed through untouched', () => {
    const value = framed(2, { leadId: 'L-1', points: 7, reason: 'webinar', amount: '12.50' })
    expect(throughPayloads(value)).toEqual({
      isUntouched: true,
      data: { leadId: 'L-1', points: 7, reason: 'webinar', amount: '12.50' },
    })
  })

  it('of an older version is encoded anew, with the defaults of what it lacks', () => {
    const value = framed(1, { leadId: 'L-1', points: 7 })
    expect(throughPayloads(value)).toEqual({
      isUntouched: false,
      data: { leadId: 'L-1', points: 7, reason: 'none', amount: null },
    })
  })

  it('of an older version goes through its upcast', () => {
    const value = framed(1, { leadId: 'L-1', points: 7 })
    const upcasts = {
      'scored/1': (data: Readonly<Record<string, unknown>>) => ({ ...data, reason: 'before' }),
    }
    expect(throughPayloads(value, upcasts).data).toMatchObject({ reason: 'before' })
  })

  it('of an older version is refused where its upcast makes more of it than its column holds', () => {
    const value = framed(1, { leadId: 'L-1', points: 7 })
    const upcasts = {
      'scored/1': (data: Readonly<Record<string, unknown>>) => ({
        ...{ ...data, reason: 'before', amount: '99999999999.99' },
      }),
    }
    expect(() => throughPayloads(value, upcasts)).toThrow(
      expect.objectContaining({ code: 'record_malformed', retriable: false }),
    )
  })

  it.each([
    ['cut off', framed(2, { leadId: 'L-1', points: 7, reason: 'webinar', amount: null }).subarray(0, -1)],
    [
      'followed by more',
      Buffer.concat([framed(2, { leadId: 'L-1', points: 7, reason: 'x', amount: null }), Buffer.from([0])]),
    ],
    ['cut off, of an older version', framed(1, { leadId: 'L-1', points: 7_000 }).subarray(0, -1)],
    ['not Avro', Buffer.from([0, 0, 0, 0, 2, 0xff, 0xff, 0xff])],
  ])('is refused where it is %s', (_, value) => {
    expect(() => throughPayloads(value)).toThrow(
      expect.objectContaining({ code: 'record_malformed', retriable: false }),
    )
  })
})
