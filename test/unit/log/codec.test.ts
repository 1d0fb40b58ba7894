import { describe, expect, it } from 'vitest'
import { catalogOf, type GeneratedSchemas } from '../../../src/define/catalog.ts'
import type { AvroRecord } from '../../../src/define/field.ts'
import { Codec } from '../../../src/log/codec.ts'

const schemaOf = (name: string, ...fields: AvroRecord['fields']): AvroRecord => ({
  ...{ type: 'record', namespace: 'embudo.leads', name },
  fields: [{ name: 'leadId', type: 'string' }, ...fields],
})
const scored = schemaOf('scored', { name: 'points', type: 'long', default: 0 })
const generated = {
  topics: [{ name: 'leads', subject: 'leadId', partitions: 1 }],
  versions: [{ topic: 'leads', type: 'scored', version: 1, schema: scored }],
  upcasts: {},
} as unknown as GeneratedSchemas

const framed = (schemaId: number): Buffer => {
  const value = Buffer.alloc(16)
  value.writeInt32BE(schemaId, 1)
  return value
}

/** A registry that counts how often it is asked, and a clock that the test moves. */
const newCodec = (schemas: Record<number, AvroRecord>) => {
  const asked: number[] = []
  const clock = { nowMs: 0 }
  const codec = new Codec(
    catalogOf(generated),
    new Map([['scored/1', 1]]),
    async (schemaId) => {
      asked.push(schemaId)
      return schemas[schemaId] ?? schemaOf('of_nobody')
    },
    () => clock.nowMs,
  )
  return { codec, asked, clock }
}

const foreign = expect.objectContaining({ code: 'schema_foreign', retriable: false })

describe('a schema that the registry has', () => {
  it('is of no event where it only has the name of one, and cannot be read as it', async () => {
    const { codec } = newCodec({ 7: schemaOf('scored', { name: 'points', type: 'string', default: '' }) })
    await expect(codec.learn(framed(7))).rejects.toEqual(foreign)
    expect(codec.writerOf(framed(7))).toBeUndefined()
    expect(codec.refusalOf(framed(7))).toEqual(foreign)
  })

  it('is not asked for again, also where it is of no event', async () => {
    const { codec, asked } = newCodec({ 7: schemaOf('scored') })
    for (const schemaId of [7, 8, 7, 8]) await codec.learn(framed(schemaId)).catch(() => {})
    expect(asked).toEqual([7, 8])
    await expect(codec.learn(framed(8))).rejects.toEqual(foreign)
    expect(codec.hasLearnt(framed(8))).toBe(true)
  })

  it('is asked for again after a while, since an event may have got it', async () => {
    const schemas: Record<number, AvroRecord> = {}
    const { codec, clock } = newCodec(schemas)
    await codec.learn(framed(7)).catch(() => {})
    schemas[7] = schemaOf('scored')
    await expect(codec.learn(framed(7))).rejects.toEqual(foreign)
    clock.nowMs = 60_000
    expect(codec.hasLearnt(framed(7))).toBe(false)
    expect(await codec.learn(framed(7))).toMatchObject({ schemaId: 7, version: undefined })
  })

  it('is remembered as of no event for the last thousand only', async () => {
    const { codec, asked } = newCodec({})
    for (let schemaId = 2; schemaId <= 1_002; schemaId++) await codec.learn(framed(schemaId)).catch(() => {})
    expect(codec.refusalOf(framed(2))).toBeUndefined()
    await codec.learn(framed(1_002)).catch(() => {})
    expect(asked).toHaveLength(1_001)
  })
})
