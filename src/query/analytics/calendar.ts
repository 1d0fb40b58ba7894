export type Interval = 'hour' | 'day' | 'week' | 'month'

/**
 * When the intervals of a time zone begin that overlap [fromMs, toMs), as instants: the first may begin before
 * `fromMs`. Days have 23 or 25 hours where clocks change; weeks begin on Monday. Computed here and not in SQL, so
 * that empty intervals and full ones come from one place. Stops behind `atMost`.
 */
export const intervalStarts = (
  fromMs: number,
  toMs: number,
  interval: Interval,
  timeZone: string,
  atMost: number,
): number[] => {
  const starts: number[] = []
  const clock = clockOf(timeZone)
  let start =
    interval === 'hour'
      ? hourOf(fromMs, clock)
      : startOfDay(floored(localDay(fromMs, clock), interval), clock)
  while (start < toMs && starts.length <= atMost) {
    starts.push(start)
    start =
      interval === 'hour' ? nextHour(start, clock) : startOfDay(following(start, interval, clock), clock)
  }
  return starts
}

export const isTimeZone = (name: string): boolean => {
  try {
    // Offsets such as +02:00 are taken by Intl too; INTERFACE and people mean places.
    return /^[A-Za-z]/.test(name) && clockOf(name) !== undefined
  } catch {
    return false
  }
}

const dayMs = 86_400_000
const hourMs = 3_600_000

/** What the clock on the wall shows at an instant, as if it stood in UTC. */
type WallClock = (instantMs: number) => number

const clockOf = (timeZone: string): WallClock => {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone,
    calendar: 'iso8601',
    hourCycle: 'h23',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
  })
  return (instantMs) => {
    const shown: Record<string, number> = {}
    for (const { type, value } of format.formatToParts(instantMs)) shown[type] = Number(value)
    const { year, month, day, hour, minute, second } = shown as Record<string, number>
    return Date.UTC(year!, month! - 1, day!, hour!, minute!, second!) + (((instantMs % 1000) + 1000) % 1000)
  }
}

const localDay = (instantMs: number, clock: WallClock): number => Math.floor(clock(instantMs) / dayMs) * dayMs

/** The instant at which a local day begins: midnight, or later where clocks leap over it. */
const startOfDay = (localMs: number, clock: WallClock): number => {
  const guess = localMs - (clock(localMs) - localMs)
  // One of the offsets in use half a day around is the right one; the other gives the day before, or later.
  const candidates = [guess - dayMs / 2, guess + dayMs / 2].map((near) => localMs - (clock(near) - near))
  return Math.min(...candidates.filter((candidate) => localDay(candidate, clock) >= localMs))
}

const floored = (localMs: number, interval: Interval): number => {
  const date = new Date(localMs)
  if (interval === 'week') return localMs - ((date.getUTCDay() + 6) % 7) * dayMs
  return interval === 'month' ? Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1) : localMs
}

const following = (startMs: number, interval: Interval, clock: WallClock): number => {
  const day = floored(localDay(startMs, clock), interval)
  const date = new Date(day)
  if (interval === 'month') return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1)
  return day + (interval === 'week' ? 7 : 1) * dayMs
}

/** Hours begin where the wall clock shows minute 0, which in some zones is not so in UTC. */
const hourOf = (instantMs: number, clock: WallClock): number => instantMs - (clock(instantMs) % hourMs)

const nextHour = (startMs: number, clock: WallClock): number => {
  const next = hourOf(startMs + hourMs, clock)
  return next > startMs ? next : startMs + hourMs
}
