import { expect, it } from 'vitest'
import { arrayLiteral } from '../../../src/projection/postgres/array-literal.ts'

it.each([
  ['integer', [1, null, -2], '{1,NULL,-2}'],
  ['double precision', [0.1, Number.NaN, Infinity], '{0.1,NaN,Infinity}'],
  ['boolean', [true, false, undefined], '{true,false,NULL}'],
  ['numeric', ['49.00'], '{"49.00"}'],
  ['timestamptz', ['2026-11-20T10:00:00.000Z'], '{"2026-11-20T10:00:00.000Z"}'],
  ['text', ['a', 'NULL', '', 'b,c', '{}'], '{"a","NULL","","b,c","{}"}'],
  ['text', ['say "hi"', 'back\\slash', '\\"'], '{"say \\"hi\\"","back\\\\slash","\\\\\\""}'],
  ['jsonb', [{ a: 'x"y' }, [1]], '{"{\\"a\\":\\"x\\\\\\"y\\"}","[1]"}'],
  ['text', [], '{}'],
])('writes %s %j as %s', (type, values, literal) => {
  expect(arrayLiteral(values, type)).toBe(literal)
})
