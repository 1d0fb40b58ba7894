import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { timeMsOf, timeOf } from '../../../src/log/codec.ts'
import { isoMs } from '../../../src/log/iso-time.ts'

describe('the time of an event', () => {
  it('is read as Date.parse reads it', () => {
    fc.assert(
      fc.property(
        fc.date({ min: new Date('0001-01-01'), max: new Date('9999-01-01'), noInvalidDate: true }),
        (date) => {
          expect(isoMs(date.toISOString())).toBe(date.getTime())
        },
      ),
    )
  })

  it.each([
    '',
    '2026-11-20',
    '2026-11-20T10:00:00Z',
    '2026-11-20T10:00:00.000+',
    '2026-13-20T10:00:00.000Z',
    '2026-11-20T25:00:00.000Z',
    '2026-11-20 10:00:00.000Z',
    '2026-11-20T1x:00:00.000Z',
    '2026-11-20T10:60:00.000Z',
    '2026-11-20T10:00:60.000Z',
    '2026-11-20T10:00:00.00:Z',
    '2026-11-20T10-00-00.000Z',
    '2026-02-30T10:00:00.000Z',
  ])('is left to others where it is not in our form: %s', (text) => {
    expect(isoMs(text)).toBeUndefined()
  })
})

describe('the time of an event of another producer', () => {
  const appendedAt = Date.UTC(2026, 10, 20, 10)
  const appended = '2026-11-20T10:00:00.000Z'

  it.each([
    ['2026-01-02T03:04:05.678Z', '2026-01-02T03:04:05.678Z'],
    ['2026-01-02T03:04:05+01:00', '2026-01-02T02:04:05.000Z'],
    ['2026-01-02T24:00:00.000Z', '2026-01-03T00:00:00.000Z'],
    ['2026-02-30T10:00:00.000Z', '2026-03-02T10:00:00.000Z'],
    ['2026-13-01T00:00:00.000Z', appended],
    ['2026-01-01T00:61:00.000Z', appended],
    ['twenty-four characters.Z', appended],
    ['+012026-01-01T00:00:00Z', appended],
    ['yesterday', appended],
    [undefined, appended],
  ])('is the same in every store: %s is %s', (time, expected) => {
    const record = { timestamp: appendedAt, header: () => time }
    expect(timeOf(record)).toBe(expected)
    expect(timeMsOf(record)).toBe(Date.parse(expected))
  })
})
