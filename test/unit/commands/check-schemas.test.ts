import { describe, expect, it } from 'vitest'
import type { EventVersion } from '../../../src/define/catalog.ts'
import { checkSchemas } from '../../../src/schema/check.ts'

const key = { name: 'leadId', type: 'string' }
const money = (scale: number) => ({
  name: 'value',
  type: { type: 'bytes', logicalType: 'decimal', precision: 18, scale },
  default: '\u0000',
})
const text = (more: object = {}) => ({ name: 'note', type: ['null', 'string'], default: null, ...more })
const personal = { 'embudo.personal': { of: 'leadId', group: 'contact', id: 'lead.note' } }

const versions = (...fields: object[][]): EventVersion[] =>
  fields.map((own, index) => ({
    topic: 'leads',
    type: 'tried',
    version: index + 1,
    schema: {
      type: 'record',
      namespace: 'embudo.leads',
      name: 'tried',
      fields: [key, ...own] as EventVersion['schema']['fields'],
    },
  }))
const codes = (...fields: object[][]) =>
  checkSchemas(versions(...fields), () => 'leadId').map(({ code }) => code)

describe('versions of an event', () => {
  it('may gain and lose fields that have a default', () => {
    expect(codes([money(4)], [money(4), text()], [text()])).toEqual([])
  })

  it('may not gain a field without one', () => {
    expect(checkSchemas(versions([], [{ name: 'rating', type: 'long' }]), () => 'leadId')).toMatchObject([
      { code: 'no_default', event: 'tried', version: 2, field: 'rating' },
      { code: 'unreadable', version: 2, against: 1 },
    ])
  })

  it('may not change a type, in either direction', () => {
    expect(
      codes([{ name: 'n', type: 'long', default: 0 }], [{ name: 'n', type: 'double', default: 0 }]),
    ).toEqual(['unreadable', 'kind_changed'])
    expect(
      codes(
        [{ name: 'n', type: 'long', default: 0 }],
        [{ name: 'n', type: ['null', 'long'], default: null }],
      ),
    ).toContain('unreadable')
  })

  it('are compared with every predecessor, not only the last', () => {
    const problems = checkSchemas(
      versions([{ name: 'n', type: 'long', default: 0 }], [], [{ name: 'n', type: 'string', default: '' }]),
      () => 'leadId',
    )
    expect(problems.every(({ version, against }) => version === 3 && against === 1)).toBe(true)
    expect(problems.map(({ code }) => code)).toContain('kind_changed')
  })

  it('may not do what Avro lets through and folds do not survive', () => {
    expect(codes([money(4)], [money(2)])).toEqual(['kind_changed'])
    expect(codes([text()], [text({ 'embudo.unit': 'seconds' })])).toEqual(['unit_changed'])
    expect(codes([text(personal)], [text()])).toEqual(['personal_changed'])
    expect(
      codes([{ name: 'n', type: 'long', default: 0 }], [{ name: 'n', type: 'long', default: 7 }]),
    ).toEqual(['default_changed'])
  })

  it('need the key of their topic, without a default', () => {
    expect(checkSchemas(versions([]), () => 'userId').map(({ code, field }) => [code, field])).toEqual([
      ['subject_field', 'userId'],
      ['no_default', 'leadId'],
    ])
    expect(checkSchemas(versions([]), () => undefined)[0]).toMatchObject({ code: 'subject_field' })
  })

  it('are numbered from 1 without a gap', () => {
    expect(checkSchemas(versions([], []).slice(1), () => 'leadId')).toMatchObject([
      { code: 'version_missing' },
    ])
  })
})
