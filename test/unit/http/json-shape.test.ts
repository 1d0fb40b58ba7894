import fc from 'fast-check'
import { expect, it } from 'vitest'
import { isTooDeep, jsonShape } from '../../../src/http/json-shape.ts'

const padding = ' '.repeat(64 * 1024)
const shape = (json: string) => jsonShape(Buffer.from(json + padding))

const containers = (value: unknown): number =>
  typeof value === 'object' && value !== null
    ? 1 + Object.values(value).reduce((sum: number, item) => sum + containers(item), 0)
    : 0

it('counts what JSON.parse will make, and nothing that stands in a text', () => {
  const text = fc.string({ unit: fc.constantFrom('a', '"', '\\', '[', '{', '}', ']', ',', 'é') })
  const value = fc.jsonValue({ stringUnit: fc.constantFrom('a', '"', '\\', '[', '}', ','), maxDepth: 6 })
  fc.assert(
    fc.property(fc.array(fc.oneof(text, value), { minLength: 1 }), (list) => {
      expect(shape(JSON.stringify(list))).toEqual({ items: list.length, containers: containers(list) })
    }),
    { numRuns: 1_000 },
  )
  expect(shape('{"a":[1,2,3]}')).toEqual({ items: 0, containers: 2 })
})

it('takes 64 levels and not one more', () => {
  const nested = (levels: number) => '['.repeat(levels) + ']'.repeat(levels)
  expect(shape(`[${nested(63)},${nested(63)}]`)).toMatchObject({ items: 2 })
  expect(() => shape(nested(65))).toThrow('at most 64 levels')
  expect(() => shape(`{"a":"\\\\","b":${nested(64)}}`)).toThrow('at most 64 levels')
  expect(isTooDeep(Buffer.from(nested(65) + padding))).toBe(true)
  expect(isTooDeep(Buffer.from(nested(64) + padding))).toBe(false)
})

it('does not look at what is short, nor at what stands beside the line', () => {
  expect(jsonShape(Buffer.from('['.repeat(1_000)))).toBeUndefined()
  const lines = Buffer.from(`${'['.repeat(70)}\n${padding}`)
  expect(isTooDeep(lines, 71)).toBe(false)
  expect(isTooDeep(lines)).toBe(true)
})
