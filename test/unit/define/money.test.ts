import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { addMoney, compareMoney, fromUnits, toUnits } from '../../../src/define/money.ts'

const units = fc.bigInt({ min: -(10n ** 20n), max: 10n ** 20n })

describe('money', () => {
  it.each([
    ['0', '49.00', '49.00'],
    ['0.1', '0.2', '0.30'],
    ['49.00', '-49.00', '0.00'],
    ['-0.05', '-0.05', '-0.10'],
    ['9007199254740993', '0.0001', '9007199254740993.0001'],
    ['1.2300', '1', '2.23'],
  ])('adds %s and %s to %s', (left, right, total) => {
    expect(addMoney(left, right)).toBe(total)
  })

  it('adds in any order to the same', () => {
    fc.assert(
      fc.property(units, units, units, (a, b, c) => {
        const [x, y, z] = [fromUnits(a, 4), fromUnits(b, 4), fromUnits(c, 4)]
        expect(addMoney(addMoney(x, y), z)).toBe(addMoney(x, addMoney(z, y)))
      }),
    )
  })

  it('compares by value, not as text', () => {
    expect(compareMoney('9.00', '10.00')).toBeLessThan(0)
    expect(compareMoney('-2.00', '-10')).toBeGreaterThan(0)
    expect(compareMoney('1.5', '1.5000')).toBe(0)
  })

  it('gives back the units it was given', () => {
    fc.assert(
      fc.property(units, fc.nat({ max: 6 }), (amount, scale) => {
        fc.pre(scale >= 2)
        expect(toUnits(fromUnits(amount, scale), scale)).toBe(amount)
      }),
    )
  })

  it.each(['', '1e3', '1,00', '.5', '5.', 'NaN', '--1', ' 1'])('refuses %j', (text) => {
    expect(() => toUnits(text, 2)).toThrow(RangeError)
  })

  it('refuses to lose a digit', () => {
    expect(() => toUnits('1.005', 2)).toThrow(/more than 2 decimals/)
    expect(toUnits('1.000', 2)).toBe(100n)
  })
})
