import { describe, expect, it } from 'vitest'
import { isPersonalId } from '../../../src/ingest/event-schema.ts'
import { got } from '../../../src/ingest/expected.ts'
import { nearest } from '../../../src/ingest/nearest.ts'

describe('what came, in words', () => {
  it.each([
    [undefined, 'nothing'],
    [null, 'null'],
    [[1, 2], 'a list of 2'],
    [{ a: 1 }, 'an object'],
    [90.5, '90.5'],
    ['a"b', '"a\\"b"'],
    ['x'.repeat(100), `"${'x'.repeat(60)}..."`],
  ])('%j is %s', (value, words) => expect(got(value)).toBe(words))

  it('does not repeat what is personal', () =>
    expect(got('ada@example.com', true)).toBe('a text of 15 characters'))
})

describe('the name that was meant', () => {
  const names = ['leadId', 'webinarId', 'attendanceDuration', 'engagementScore']

  it.each([
    ['attendance_duration', 'attendanceDuration'],
    ['leadid', 'leadId'],
    ['LeadID', 'leadId'],
    ['engagementScor', 'engagementScore'],
    ['colour', undefined],
    ['x'.repeat(1_000_000), undefined],
  ])('%s', (name, meant) => expect(nearest(name, names)).toBe(meant))
})

it('knows what looks like a mail address', () => {
  const personal = [
    'ada@example.com',
    'mailto:ada@example.com',
    'lead:ada@example.co.uk',
    'ada%40example.com',
    'ada+x@mail.example.com',
  ]
  const opaque = [
    'L-1',
    '018f0000-0000-7000-8000-000000000000',
    '@handle',
    'a@b',
    'room@',
    'crm:42',
    'x@y z.example',
  ]
  expect(personal.filter((id) => !isPersonalId(id))).toEqual([])
  expect(opaque.filter(isPersonalId)).toEqual([])
})
