export interface LocalTimes {
  /** An IANA zone, for times that say none. */
  readonly timeZone: string
  /** 05/11/2026 is the 5th of November. */
  readonly dayFirst: boolean
}

/**
 * A time as exports write it, as an instant in ISO form; undefined for what is none, or may be another day than
 * it seems (20/11/2026 where the month comes first). What has an offset of its own keeps it.
 */
export const instantOf = (text: string, { timeZone, dayFirst }: LocalTimes): string | undefined => {
  // Zoom and browsers put narrow no-break spaces in front of AM and PM.
  const plain = text.replaceAll(/[\u00A0\u202F\s]+/g, ' ').trim()
  if (/^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)? ?(Z|[+-]\d\d:?\d\d)$/i.test(plain)) {
    const ms = Date.parse(plain.replace(' ', 'T').replace(' ', ''))
    return Number.isNaN(ms) ? undefined : new Date(ms).toISOString()
  }
  const wall = wallTime(plain, dayFirst)
  return wall === undefined ? undefined : new Date(atZone(wall, timeZone)).toISOString()
}

export const isTimeZone = (name: string): boolean => {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name })
    return true
  } catch {
    return false
  }
}

const time = String.raw`(?:,? (\d{1,2}):(\d\d)(?::(\d\d)(?:\.\d+)?)?(?: ?([ap])\.?m\.?)?)?`
const yearFirst = new RegExp(`^(\\d{4})[-/.](\\d{1,2})[-/.](\\d{1,2})T?${time}$`, 'i')
const yearLast = new RegExp(`^(\\d{1,2})([-/.])(\\d{1,2})[-/.](\\d{4})${time}$`, 'i')
const monthNamed = new RegExp(`^([a-z]{3,9})\\.? (\\d{1,2}),? (\\d{4})${time}$`, 'i')
const dayThenMonth = new RegExp(`^(\\d{1,2})[. -]+([a-z]{3,9})\\.?[ ,-]+(\\d{4})${time}$`, 'i')

/** Milliseconds since the epoch as if the clock on the wall showed UTC. */
const wallTime = (text: string, dayFirst: boolean): number | undefined => {
  const spaced = text.replace(/^(\d{4}-\d\d-\d\d)T(?=\d)/, '$1 ')
  let match = yearFirst.exec(spaced)
  if (match !== null) return wallMs(match[1], match[2], match[3], match.slice(4))
  match = yearLast.exec(spaced)
  if (match !== null) {
    // With dots the day comes first wherever it is written so.
    const isDayFirst = dayFirst || match[2] === '.'
    return isDayFirst
      ? wallMs(match[4], match[3], match[1], match.slice(5))
      : wallMs(match[4], match[1], match[3], match.slice(5))
  }
  match = monthNamed.exec(spaced)
  if (match !== null) return wallMs(match[3], monthOf(match[1]), match[2], match.slice(4))
  match = dayThenMonth.exec(spaced)
  if (match !== null) return wallMs(match[3], monthOf(match[2]), match[1], match.slice(4))
  return undefined
}

const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']
const monthOf = (name: string | undefined): string =>
  String(months.indexOf((name ?? '').slice(0, 3).toLowerCase()) + 1)

const wallMs = (
  year: string | undefined,
  month: string | undefined,
  day: string | undefined,
  [hour = '0', minute = '0', second = '0', half]: readonly (string | undefined)[],
): number | undefined => {
  const given = Number(hour)
  if (half !== undefined && (given < 1 || given > 12)) return undefined
  const hours = half === undefined ? given : (given % 12) + (half.toLowerCase() === 'p' ? 12 : 0)
  const ms = Date.UTC(Number(year), Number(month) - 1, Number(day), hours, Number(minute), Number(second))
  const date = new Date(ms)
  const isThatDay = date.getUTCMonth() === Number(month) - 1 && date.getUTCDate() === Number(day)
  return isThatDay && hours < 24 && Number(minute) < 60 && Number(second) < 60 ? ms : undefined
}

/** In the hour that a clock shows twice, the first one; in the hour that it leaves out, as if it went on. */
const atZone = (wall: number, timeZone: string): number => {
  if (timeZone === 'UTC') return wall
  const candidates = [wall - offsetMs(wall - dayMs, timeZone), wall - offsetMs(wall + dayMs, timeZone)]
  const right = candidates.filter((ms) => ms + offsetMs(ms, timeZone) === wall)
  return right.length > 0 ? Math.min(...right) : candidates[0]!
}

const dayMs = 86_400_000
const quarterMs = 900_000

/** By quarters of an hour: no zone changes its offset in between, and to ask costs microseconds. */
const offsets = new Map<string, number>()
const formats = new Map<string, Intl.DateTimeFormat>()

const offsetMs = (ms: number, timeZone: string): number => {
  const quarter = Math.floor(ms / quarterMs) * quarterMs
  const key = `${timeZone} ${quarter}`
  const known = offsets.get(key)
  if (known !== undefined) return known
  let format = formats.get(timeZone)
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    })
    formats.set(timeZone, format)
  }
  const parts = Object.fromEntries(
    format.formatToParts(quarter).map(({ type, value }) => [type, Number(value)]),
  )
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts
  const offset = Date.UTC(year, month - 1, day, hour, minute, second) - quarter
  if (offsets.size > 50_000) offsets.clear()
  offsets.set(key, offset)
  return offset
}
