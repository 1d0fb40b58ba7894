import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RepeatedKeys, repeatedKeyIn, repeatedKeysIn } from '../../src/ingest/repeated-keys.ts'

type Json = null | boolean | number | string | Json[] | Pairs
/** An object as it is written: nothing keeps a key from being there twice. */
interface Pairs {
  readonly pairs: readonly (readonly [string, Json])[]
}

const text = fc.string({
  unit: fc.constantFrom('a', 'b', '"', '\\', '/', '~', ':', '{', 'é', '✓', '\n', '\u0001'),
})
const json: fc.Arbitrary<Json> = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom(null, true, 12.5),
    text,
    fc.array(tie('value'), { maxLength: 4 }),
    fc.record({ pairs: fc.array(fc.tuple(text, tie('value')), { maxLength: 5 }) }),
  ),
})).value

const isPairs = (value: Json): value is Pairs =>
  typeof value === 'object' && value !== null && 'pairs' in value

/** Escapes some characters that need none, and puts spaces where JSON allows them. */
const written = (value: Json, escapes: boolean): string => {
  const quoted = (text: string) =>
    escapes ? JSON.stringify(text).replaceAll('a', '\\u0061').replaceAll('/', '\\/') : JSON.stringify(text)
  if (typeof value === 'string') return quoted(value)
  if (Array.isArray(value)) return `[${value.map((item) => written(item, escapes)).join(' , ')}]`
  if (!isPairs(value)) return JSON.stringify(value)
  return `{${value.pairs.map(([key, item]) => ` ${quoted(key)}\t: ${written(item, escapes)}`).join(',')} }`
}

/** As deep as events are, in a list. */
const hasRepeated = (value: Json, levels = 4): boolean => {
  if (levels === 0) return false
  if (Array.isArray(value)) return value.some((item) => hasRepeated(item, levels - 1))
  if (typeof value === 'string' || !isPairs(value)) return false
  const keys = value.pairs.map(([key]) => key)
  return new Set(keys).size < keys.length || value.pairs.some(([, item]) => hasRepeated(item, levels - 1))
}

describe('keys that are there twice', () => {
  it('are found wherever an event may have them, and nothing else is', async () => {
    await fc.assert(
      fc.asyncProperty(json, fc.boolean(), fc.nat(8), async (value, escapes, shift) => {
        const line = written(value, escapes)
        // Any place in memory: words are counted four bytes at a time.
        const bytes = Buffer.from(`${' '.repeat(shift)}${line}`).subarray(shift)
        const parsed: unknown = JSON.parse(line)
        const isThere = hasRepeated(value)
        const mayBe = new RepeatedKeys(bytes).mayBeIn(parsed)
        if (isThere) expect(mayBe).toBe(true)
        expect(repeatedKeyIn(line) !== undefined).toBe(isThere)
        expect((await repeatedKeysIn(bytes)) !== undefined).toBe(isThere)
      }),
      { numRuns: 3_000 },
    )
  })

  it('are looked for only where the count of strings tells of them', () => {
    fc.assert(
      fc.property(json, fc.boolean(), (value, escapes) => {
        fc.pre(!hasRepeated(value) && depth(value) < 4)
        const line = written(value, escapes)
        expect(new RepeatedKeys(Buffer.from(line)).mayBeIn(JSON.parse(line))).toBe(false)
      }),
      { numRuns: 1_000 },
    )
  })

  it.each([
    ['{"id":"a","id":"b"}', '/id'],
    ['{"id":"a","\\u0069d":"b"}', '/id'],
    ['{"data":{"x":1,"y":[{"k":1,"k" :2}]}}', '/data/y/0/k'],
    ['{"a/b~":1,"a/b~":1}', '/a~1b~0'],
    ['{"__proto__":1,"__proto__":2}', '/__proto__'],
  ])('are named by their place: %.40s', (line, field) => {
    expect(repeatedKeyIn(line)).toMatchObject({ code: 'duplicate_key', field })
  })

  it('are not looked for deeper than events are', () => {
    expect(repeatedKeyIn(`${'['.repeat(100_000)}{"a":1,"a":1}${']'.repeat(100_000)}`)).toBeUndefined()
  })

  it('are told for each event of a list', async () => {
    const body = '[{"id":1},{"id":1,"id":2,"x":1,"x":1},[],{"data":{"a":1,"a":1}}]'
    const errors = await repeatedKeysIn(Buffer.from(body))
    expect([...(errors ?? [])].map(([index, { field }]) => [index, field])).toEqual([
      [1, '/id'],
      [3, '/data/a'],
    ])
  })
})

const depth = (value: Json): number => {
  if (Array.isArray(value)) return 1 + Math.max(0, ...value.map(depth))
  if (typeof value === 'string' || !isPairs(value)) return 0
  return 1 + Math.max(0, ...value.pairs.map(([, item]) => depth(item)))
}
