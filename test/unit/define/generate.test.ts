import { describe, expect, it } from 'vitest'
import type { EventVersion } from '../../../src/define/catalog.ts'
import { type AvroRecord, fieldsOf } from '../../../src/define/field.ts'
import { generatedSource } from '../../../src/define/generate.ts'

const schema: AvroRecord = {
  type: 'record',
  namespace: 'embudo.leads',
  name: 'demo_requested',
  doc: 'Somebody wants to see it.',
  fields: [
    { name: 'leadId', type: 'string' },
    { name: 'seats', type: ['null', 'long'], default: null, doc: 'How many will come', 'embudo.minimum': 1 },
    {
      name: 'phone',
      type: 'string',
      default: '',
      'embudo.personal': { of: 'leadId', group: 'contact', id: 'lead.phone' },
    },
    { name: 'budget', type: { type: 'bytes', logicalType: 'decimal', precision: 18, scale: 4 }, default: '' },
    { name: 'kind', type: 'string', default: 'live', 'embudo.oneOf': ['live', 'recorded'] },
  ],
}
const versions: EventVersion[] = [1, 2].map((version) => ({
  topic: 'leads',
  type: 'demo_requested',
  version,
  schema,
}))

describe('the generated source', () => {
  const source = generatedSource(
    versions,
    ['leads'],
    [{ topic: 'leads', type: 'demo_requested', version: 1 }],
  )

  it('has each event once, by its current version', () => {
    expect(source.match(/export interface DemoRequested/g)).toHaveLength(1)
    expect(source).toContain('/** Somebody wants to see it. */')
    expect(source).toMatch(/leads: \{\n\s+demo_requested: DemoRequested\n/)
  })

  it('types every field by its kind', () => {
    expect(source).toContain('readonly leadId: string\n')
    expect(source).toContain('readonly seats: number | null\n')
    expect(source).toContain('readonly phone: Personal<string>\n')
    expect(source).toContain('readonly budget: Decimal\n')
    expect(source).toContain("readonly kind: 'live' | 'recorded'\n")
  })

  it('joins the upcasts that lie beside the schemas', () => {
    expect(source).toContain("from './leads/demo_requested/1.upcast.ts'")
    expect(source).toContain("'demo_requested/1':")
  })
})

describe('the fields of a schema', () => {
  it('carry what validation and questions need', () => {
    const seats = fieldsOf(schema)[1]
    expect(seats).toMatchObject({
      name: 'seats',
      kind: { is: 'integer' },
      nullable: true,
      minimum: 1,
      doc: 'How many will come',
    })
  })

  it('are refused where Avro is used that nothing here reads', () => {
    const odd = { ...schema, fields: [{ name: 'x', type: { type: 'enum', symbols: ['A'] } }] }
    expect(() => fieldsOf(odd)).toThrow(expect.objectContaining({ code: 'schema_unsupported' }))
  })
})
