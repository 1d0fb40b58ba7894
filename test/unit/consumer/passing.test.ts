import { describe, expect, it } from 'vitest'
import { isPassing } from '../../../src/consumer/passing.ts'
import { EmbudoError } from '../../../src/define/error.ts'

const withCode = (code: string): Error => Object.assign(new Error('no'), { code })

describe('what a partition is tried again after', () => {
  it.each([
    new EmbudoError('log_unavailable', 'away', { retriable: true }),
    new EmbudoError('topic_unknown', 'not yet'),
    ...['08006', '25006', '25P03', '40P01', '53300', '55P03', '57P01', 'XX000'].map(withCode),
    ...['ECONNRESET', 'EMFILE', 'ENETDOWN', 'EPROTO', 'CERT_HAS_EXPIRED'].map(withCode),
    new TypeError('fetch failed', { cause: withCode('ECONNREFUSED') }),
    new Error('nobody foresaw this'),
  ])('%s', (error) => {
    expect(isPassing(error)).toBe(true)
  })
})

describe('what a partition stops at', () => {
  it.each([
    new EmbudoError('log_changed', 'another log'),
    ...['22021', '23514', '42P01', '54000'].map(withCode),
    new TypeError('undefined is not a function'),
    new RangeError('Invalid array length'),
  ])('%s', (error) => {
    expect(isPassing(error)).toBe(false)
  })
})
