import type { RefusedEvent } from './answer.ts'
import { instantOf, type LocalTimes } from './local-time.ts'

/** Says what to do about a time that is none because of the order of its day and month: 20/11/2026. */
export const withDayFirstAdvice = (error: RefusedEvent, text: string, times: LocalTimes): RefusedEvent => {
  if (error.code !== 'bad_time' || times.dayFirst) return error
  const { time } = JSON.parse(text) as { time?: unknown }
  if (typeof time !== 'string' || instantOf(time, times) !== undefined) return error
  if (instantOf(time, { ...times, dayFirst: true }) === undefined) return error
  const advice =
    'where the day comes first in this file, send it with --day-first; 05/11/2026 was taken for the 11th of May'
  return { ...error, detail: `${error.detail}; ${advice}` }
}
