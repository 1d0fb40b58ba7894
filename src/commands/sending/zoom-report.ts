import { EmbudoError } from '../../define/error.ts'
import type { Draft, Reading, Stay } from './export.ts'
import { sourceName } from './source-name.ts'
import { Columns, plainName, type Row } from './table.ts'

/** The row under a small table's header in front of the main one: topic, id, start. */
export const summaryOf = (
  preamble: readonly (readonly string[])[],
  ...names: readonly string[]
): string | undefined => {
  for (const [index, row] of preamble.entries()) {
    const columns = new Columns(row)
    const at = columns.indexOf(...names)
    const value = at === undefined ? undefined : preamble[index + 1]?.[at]?.trim()
    if (value !== undefined && value !== '') return value
  }
  return undefined
}

/** `847 5984 1045` is written with spaces only to be read. */
export const plainId = (id: string | undefined): string | undefined => id?.replaceAll(/\s+/g, '')

/** Throws `wrong_use` where neither the file nor the options say which webinar it was. */
export const webinarIdOf = (found: string | undefined, { set }: Reading): string => {
  const id = set.get('webinarId') ?? plainId(found)
  if (id !== undefined) return id
  throw new EmbudoError(
    'wrong_use',
    'the file does not say which webinar this was: add --set webinarId=<id>, for example --set webinarId=W-9',
  )
}

export const registration = (row: Row, leadId: string, reading: Reading): Draft => ({
  type: 'lead_registered',
  time: reading.instant(row.get('Registration Time')),
  data: {
    leadId,
    email: row.get('Email')?.toLowerCase(),
    firstName: row.get('First Name'),
    lastName: row.get('Last Name'),
    company: row.get('Organization', 'Company', 'Company Name'),
    source: sourceName(row.get('Source Name')) ?? 'webinar',
  },
})

export const attendance = (
  row: Row,
  leadId: string,
  webinarId: string,
  startTime: string | undefined,
  reading: Reading,
): Draft => {
  const joined = reading.instant(row.get('Join Time'))
  const left = reading.instant(row.get('Leave Time'))
  const minutes = reading.number(
    row.get('Time in Session (minutes)', 'Duration (Minutes)', 'Total Duration (Minutes)'),
  )
  const fromMs = msOf(joined)
  const toMs = msOf(left)
  const draft = {
    type: 'webinar_attended',
    time: joined ?? reading.instant(startTime),
    data: { leadId, webinarId, attendanceDuration: minutes },
  }
  // What is no number goes as it is: the server names it.
  if (typeof minutes === 'string' && (fromMs === undefined || toMs === undefined)) return draft
  if (joined !== undefined && fromMs === undefined) return draft
  const seconds = typeof minutes === 'number' ? Math.round(minutes * 60) : 0
  const stay: Stay = { fromMs, toMs, seconds }
  return { ...draft, stay }
}

export const isNo = (cell: string | undefined): boolean => cell !== undefined && plainName(cell) === 'no'

const msOf = (instant: string | undefined): number | undefined => {
  const ms = instant === undefined ? Number.NaN : Date.parse(instant)
  return Number.isNaN(ms) ? undefined : ms
}
