import type { Decimal } from './event.ts'

const pattern = /^(-?)(\d+)(?:\.(\d+))?$/

/** The sum, exact; as many decimals as the longer of the two has, and at least two. */
export const addMoney = (left: Decimal, right: Decimal): Decimal => {
  const scale = Math.max(2, decimalsOf(left), decimalsOf(right))
  return fromUnits(toUnits(left, scale) + toUnits(right, scale), scale)
}

/** Less than 0 where the left is less. Texts do not compare so: "9.00" stands behind "10.00". */
export const compareMoney = (left: Decimal, right: Decimal): number => {
  const scale = Math.max(decimalsOf(left), decimalsOf(right))
  const difference = toUnits(left, scale) - toUnits(right, scale)
  return difference < 0n ? -1 : difference > 0n ? 1 : 0
}

/** The amount in units of 10^-scale. Throws where that would lose digits. */
export const toUnits = (amount: Decimal, scale: number): bigint => {
  const match = pattern.exec(amount)
  if (match === null) throw new RangeError(`not a decimal: ${amount}`)
  const fraction = (match[3] ?? '').replace(/0+$/, '')
  if (fraction.length > scale) throw new RangeError(`${amount} has more than ${scale} decimals`)
  const units = BigInt(match[2] + fraction.padEnd(scale, '0'))
  return match[1] === '-' ? -units : units
}

/** "49.00" for 490000 units of 10^-4: zeros behind the second decimal are left out. */
export const fromUnits = (units: bigint, scale: number): Decimal => {
  const digits = (units < 0n ? -units : units).toString().padStart(scale + 1, '0')
  const whole = digits.slice(0, digits.length - scale)
  const fraction = digits.slice(digits.length - scale).replace(/0+$/, '')
  return `${units < 0n ? '-' : ''}${whole}.${fraction.padEnd(2, '0')}`
}

const decimalsOf = (amount: Decimal): number => {
  const point = amount.indexOf('.')
  return point === -1 ? 0 : amount.length - point - 1
}
