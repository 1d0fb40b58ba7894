import { describe, expect, it } from 'vitest'
import { catalogOf, type EventVersion } from '../../../src/define/catalog.ts'
import type { AvroRecord } from '../../../src/define/field.ts'
import { topic as leads } from '../../../src/define/topic.ts'

const topics = [leads({ name: 'leads', subject: 'leadId', partitions: 6 })]

const version = (
  number: number,
  more: Partial<EventVersion> = {},
  fields: AvroRecord['fields'] = [{ name: 'leadId', type: 'string' }],
): EventVersion => ({
  topic: 'leads',
  type: 'lead_registered',
  version: number,
  schema: { type: 'record', namespace: 'embudo.leads', name: 'lead_registered', fields },
  ...more,
})

describe('the catalogue', () => {
  it('knows the highest version as the current one', () => {
    const catalog = catalogOf({
      topics,
      versions: [version(2), version(10), ...[1, 3, 4, 5, 6, 7, 8, 9].map((n) => version(n))],
      upcasts: {},
    })
    const event = catalog.events.get('lead_registered')!
    expect(event.current.version).toBe(10)
    expect(event.versions.map((each) => each.version)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    expect(event.topic).toBe(topics[0])
  })

  it('keeps upcasts by the version that they start from', () => {
    const upcast = (data: object) => ({ ...data })
    const catalog = catalogOf({
      topics,
      versions: [version(1), version(2)],
      upcasts: { 'lead_registered/1': upcast },
    })
    expect([...catalog.events.get('lead_registered')!.upcasts]).toEqual([[1, upcast]])
  })

  it.each([
    ['a gap between versions', [version(1), version(3)], 'schema_versions'],
    ['a first version that is not 1', [version(2)], 'schema_versions'],
    ['one event in two topics', [version(1), version(2, { topic: 'payments' })], 'schema_topic'],
    ['a folder without a topic.ts', [version(1, { topic: 'nowhere' })], 'schema_topic'],
    ['no field for the subject', [version(1, {}, [{ name: 'company', type: 'string' }])], 'schema_subject'],
    [
      'a subject that may be null',
      [version(1, {}, [{ name: 'leadId', type: ['null', 'string'] }])],
      'schema_subject',
    ],
    ['a subject that is not text', [version(1, {}, [{ name: 'leadId', type: 'long' }])], 'schema_subject'],
  ])('refuses %s', (_, versions, code) => {
    expect(() => catalogOf({ topics, versions, upcasts: {} })).toThrow(expect.objectContaining({ code }))
  })
})
