import type { LogRecord } from './log-reader.ts'

/** What webinar_stats should hold, said again in the plainest way. */
export interface Webinar {
  attendances: number
  attendanceSeconds: number
  longestSeconds: number
  firstAttendedAt: number
  lastAttendedAt: number
}

export const foldWebinars = (records: Iterable<LogRecord>): Map<string, Webinar> => {
  const webinars = new Map<string, Webinar>()
  for (const { type, time, data } of records) {
    if (type !== 'webinar_attended') continue
    const name = String(data.webinarId)
    const seconds = Number(data.attendanceDuration)
    const at = Date.parse(time)
    const before = webinars.get(name)
    webinars.set(name, {
      attendances: (before?.attendances ?? 0) + 1,
      attendanceSeconds: (before?.attendanceSeconds ?? 0) + seconds,
      longestSeconds: Math.max(before?.longestSeconds ?? 0, seconds),
      firstAttendedAt: Math.min(before?.firstAttendedAt ?? at, at),
      lastAttendedAt: Math.max(before?.lastAttendedAt ?? at, at),
    })
  }
  return webinars
}

/** A row of the view, as node-postgres gives it: bigint as text. */
export const webinarOf = (row: Record<string, unknown>): Webinar => ({
  attendances: Number(row.attendances),
  attendanceSeconds: Number(row.attendance_seconds),
  longestSeconds: Number(row.longest_seconds),
  firstAttendedAt: (row.first_attended_at as Date).getTime(),
  lastAttendedAt: (row.last_attended_at as Date).getTime(),
})
