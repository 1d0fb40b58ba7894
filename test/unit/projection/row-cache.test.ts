import { describe, expect, it } from 'vitest'
import { RowCache } from '../../../src/projection/postgres/row-cache.ts'

const known = { stored: true, row: {} }
const keysOf = (cache: RowCache, keys: string): string =>
  [...keys].filter((key) => cache.get(key) !== undefined).join('')

describe('the rows that a projector remembers', () => {
  it('are the ones put last', () => {
    const cache = new RowCache(2)
    for (const key of 'abca') cache.put(key, known)
    cache.trim(0)
    expect(keysOf(cache, 'abc')).toBe('ac')
  })

  it('are all of a batch that is still being written, however many', () => {
    const cache = new RowCache(1)
    for (const key of 'abcd') cache.put(key, known)
    cache.trim(3)
    expect(keysOf(cache, 'abcd')).toBe('bcd')
  })

  it('may be rows that the table does not have', () => {
    const cache = new RowCache(1)
    cache.put('a', { stored: false, row: null })
    expect(cache.get('a')).toEqual({ stored: false, row: null })
  })
})
