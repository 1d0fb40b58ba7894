/**
 * `2026-11-20T10:00:00.000Z` and nothing else, in milliseconds since the epoch. Asked for every event, and several
 * times as fast as Date.parse, which besides takes February 30th for a day in March.
 */
export const isoMs = (text: string): number | undefined => {
  if (text.length !== 24 || !isPunctuated(text)) return undefined
  const day = dayOf(twoDigits(text, 0), twoDigits(text, 2), twoDigits(text, 5), twoDigits(text, 8))
  const hours = twoDigits(text, 11)
  const minutes = twoDigits(text, 14)
  const seconds = twoDigits(text, 17)
  const hundredths = twoDigits(text, 20)
  const thousandth = digit(text, 22)
  if (day === undefined || (hours | minutes | seconds | hundredths | thousandth) < 0) return undefined
  if (hours > 23 || minutes > 59 || seconds > 59) return undefined
  const clock = ((hours * 60 + minutes) * 60 + seconds) * 1000 + hundredths * 10 + thousandth
  return day * 86_400_000 + clock
}

const isPunctuated = (text: string): boolean =>
  text.charCodeAt(4) === 0x2d &&
  text.charCodeAt(7) === 0x2d &&
  text.charCodeAt(10) === 0x54 &&
  text.charCodeAt(13) === 0x3a &&
  text.charCodeAt(16) === 0x3a &&
  text.charCodeAt(19) === 0x2e &&
  text.charCodeAt(23) === 0x5a

/** Negative where they are none. */
const twoDigits = (text: string, at: number): number => {
  const tens = digit(text, at)
  const ones = digit(text, at + 1)
  return (tens | ones) < 0 ? -1 : tens * 10 + ones
}

const digit = (text: string, at: number): number => {
  const value = text.charCodeAt(at) - 0x30
  return value > 9 ? -1 : value
}

/**
 * Days since the epoch. Years begin in March, so that the odd day is a year's last.
 * https://howardhinnant.github.io/date_algorithms.html#days_from_civil
 */
const dayOf = (centuries: number, years: number, month: number, day: number): number | undefined => {
  if ((centuries | years) < 0 || month < 1 || month > 12 || day < 1) return undefined
  const year = centuries * 100 + years
  if (day > daysIn(year, month)) return undefined
  const fromMarch = month > 2 ? month - 3 : month + 9
  const marchYear = month > 2 ? year : year - 1
  const leapDays = Math.floor(marchYear / 4) - Math.floor(marchYear / 100) + Math.floor(marchYear / 400)
  return marchYear * 365 + leapDays + Math.floor((153 * fromMarch + 2) / 5) + day - 1 - 719_468
}

const daysIn = (year: number, month: number): number => {
  if (month !== 2) return 30 + ((month + (month >> 3)) & 1)
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28
}
