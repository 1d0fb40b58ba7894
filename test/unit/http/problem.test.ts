import { describe, expect, it } from 'vitest'
import { EmbudoError } from '../../../src/define/error.ts'
import { queryOf } from '../../../src/http/parameters.ts'
import { problemOf } from '../../../src/http/problem.ts'

describe('errors as problems', () => {
  it.each([
    [new EmbudoError('not_found', 'no'), 404, false],
    [new EmbudoError('log_busy', 'full', { retriable: true }), 503, true],
    [new EmbudoError('anything_that_may_pass', 'wait', { retriable: true }), 503, true],
    [new EmbudoError('anything_else', 'broken'), 500, false],
  ])('%s', (error, status, retriable) => {
    expect(problemOf(error)).toMatchObject({ status, code: error.code, detail: error.message, retriable })
  })

  it.each([
    Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }),
    Object.assign(new AggregateError([], ''), { code: 'ECONNREFUSED' }),
    ...['57P01', '57P03', '08006', '53300', '25006', '25P03', '40001'].map((code) =>
      Object.assign(new Error('pg'), { code }),
    ),
    new Error('Connection terminated unexpectedly'),
    new Error('timeout exceeded when trying to connect'),
  ])('%s is a store that is away', (error) => {
    expect(problemOf(error)).toMatchObject({ status: 503, code: 'store_unavailable', retriable: true })
  })

  it.each([
    Object.assign(new Error('pg'), { code: '42P01' }),
    Object.assign(new Error('no file'), { code: 'ENOENT' }),
    new TypeError('undefined is not a function'),
  ])('%s is not', (error) => {
    expect(problemOf(error)).toMatchObject({ status: 500, code: 'internal' })
  })

  it('says nothing of what nobody foresaw', () => {
    expect(JSON.stringify(problemOf(new Error('password is x')))).not.toContain('password')
  })
})

describe('queries', () => {
  it('nest one level deep', () => {
    expect(JSON.parse(JSON.stringify(queryOf('/x?a=1&where[company]=A%26B&where[b]=2')))).toEqual({
      a: '1',
      where: { company: 'A&B', b: '2' },
    })
  })

  it.each(['?a=1&a=2', '?w[a]=1&w[a]=2', '?w=1&w[a]=2', '?w[a]=1&w=2'])(
    '%s says one thing twice',
    (query) => {
      expect(() => queryOf(query)).toThrow('once')
    },
  )

  it('pollute nothing', () => {
    queryOf('/x?__proto__[polluted]=1&constructor[prototype]=1')
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  })
})
