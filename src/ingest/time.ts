const rfc3339 =
  /^(\d{4})-(\d\d)-(\d\d)[Tt]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?(?:[Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$/

/** ClickHouse's instants begin here. */
const earliest = '1900-01-01T00:00:00.000Z'

/** An RFC 3339 time in UTC with milliseconds, in the one form whose texts compare as instants; undefined if it is none. */
export const normalTime = (text: string): string | undefined => {
  const match = rfc3339.exec(text)
  if (match === null || !dayExists(Number(match[1]), Number(match[2]), Number(match[3]))) return undefined
  const normal = isNormal(text)
    ? text
    : isNormalToTheSecond(text)
      ? `${text.slice(0, 19)}.000Z`
      : new Date(text.toUpperCase()).toISOString()
  return normal.length === 24 && normal >= earliest ? normal : undefined
}

const isNormal = (text: string): boolean => text.length === 24 && text[10] === 'T' && text[23] === 'Z'

const isNormalToTheSecond = (text: string): boolean =>
  text.length === 20 && text[10] === 'T' && text[19] === 'Z'

/** The clock's time in that form, made once a millisecond: it costs more than all else that is checked. */
export const clockText = (nowMs: () => number): (() => string) => {
  let madeAt = Number.NaN
  let text = ''
  return () => {
    const now = nowMs()
    if (now !== madeAt) {
      madeAt = now
      text = new Date(now).toISOString()
    }
    return text
  }
}

const day = /^(\d{4})-(\d\d)-(\d\d)$/

export const isDay = (text: string): boolean => {
  const match = day.exec(text)
  if (match === null) return false
  const year = Number(match[1])
  return year >= 1900 && year <= 2299 && dayExists(year, Number(match[2]), Number(match[3]))
}

const dayExists = (year: number, month: number, dayOfMonth: number): boolean =>
  month >= 1 && month <= 12 && dayOfMonth >= 1 && dayOfMonth <= daysIn(year, month)

const daysIn = (year: number, month: number): number => {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31
}
