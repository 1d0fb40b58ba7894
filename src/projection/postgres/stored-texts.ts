/** Whether Postgres makes a `timestamptz` of it: a day or an instant in ISO 8601, of the years 1 to 9999. */
export const isInstant = (value: unknown): boolean =>
  typeof value === 'string' && (isUsualInstant(value) || isOtherInstant(value))

/** Whether Postgres makes a `numeric` of it. */
export const isDecimal = (value: unknown): boolean =>
  typeof value === 'number' ||
  (typeof value === 'string' && value.length <= mostDigits && decimal.test(value))

/** Whether Postgres makes a `bigint` of it. */
export const isWhole = (value: unknown): boolean =>
  typeof value === 'number'
    ? Number.isInteger(value) && Math.abs(value) < 2 ** 63
    : typeof value === 'string' && whole.test(value) && BigInt.asIntN(64, BigInt(value)) === BigInt(value)

const mostDigits = 10_000
const decimal = /^([+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,4})?|nan|[+-]?inf(inity)?)$/i
const whole = /^-?\d{1,19}$/

/** `2026-11-20T10:00:00.000Z`, as events have it. Every row of a batch comes by here: nothing is parsed twice. */
const isUsualInstant = (text: string): boolean =>
  text.length === 24 &&
  text.charCodeAt(4) === dash &&
  text.charCodeAt(7) === dash &&
  text.charCodeAt(10) === letterT &&
  text.charCodeAt(13) === colon &&
  text.charCodeAt(16) === colon &&
  text.charCodeAt(19) === point &&
  text.charCodeAt(23) === letterZ &&
  twoAt(text, 20) >= 0 &&
  digitAt(text, 22) >= 0 &&
  isDay(100 * twoAt(text, 0) + twoAt(text, 2), twoAt(text, 5), twoAt(text, 8)) &&
  isTimeOfDay(twoAt(text, 11), twoAt(text, 14), twoAt(text, 17))

const [dash, letterT, colon, point, letterZ] = [0x2d, 0x54, 0x3a, 0x2e, 0x5a]

/** What no range has where it is no digit. */
const noNumber = -10_000

const digitAt = (text: string, at: number): number => {
  const digit = text.charCodeAt(at) - 0x30
  return digit >= 0 && digit <= 9 ? digit : noNumber
}

const twoAt = (text: string, at: number): number => 10 * digitAt(text, at) + digitAt(text, at + 1)

const instant =
  /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.\d{1,12})?)?(?: ?(?:Z|[+-](\d\d)(?::?(\d\d))?))?)?$/i

const isOtherInstant = (text: string): boolean => {
  const match = instant.exec(text)
  if (match === null) return false
  const [year, month, day, hour, minute, second, zoneHour, zoneMinute] = match
    .slice(1)
    .map((n) => Number(n ?? 0))
  return (
    isDay(year!, month!, day!) && isTimeOfDay(hour!, minute!, second!) && zoneHour! < 16 && zoneMinute! < 60
  )
}

const isDay = (year: number, month: number, day: number): boolean =>
  year >= 1 && month >= 1 && month <= 12 && day >= 1 && day <= daysIn(year, month)

const daysIn = (year: number, month: number): number => {
  if (month !== 2) return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28
}

/** As Postgres does, with a leap second. */
const isTimeOfDay = (hour: number, minute: number, second: number): boolean =>
  hour >= 0 && hour < 24 && minute >= 0 && minute < 60 && second >= 0 && second <= 60
