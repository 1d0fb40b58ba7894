import type { Export } from '../export.ts'
import { attendance, isNo, registration, summaryOf, webinarIdOf } from '../zoom-report.ts'

/**
 * Reports > Webinar > Attendee Report. Titles and a summary, then "Host Details", "Panelist Details", "Attendee
 * Details" and "Other Attended" (by telephone), each with a header of its own. Who registered is a lead, whether
 * they came or not; who came, attended.
 */
export const zoomWebinarAttendees: Export = {
  name: 'Zoom webinar attendee report',
  source: 'zoom',
  recognise: ({ header, preamble, section }, reading) => {
    if (!header.has('Time in Session (minutes)')) return undefined
    if (!header.hasAny('User Name (Original Name)', 'User Name', 'Attended')) return undefined
    const role = roles.find(([title]) => section.toLowerCase().startsWith(title))
    if (role !== undefined) return () => ({ skipped: role[1] })
    const webinarId = webinarIdOf(summaryOf(preamble, 'Webinar ID', 'Meeting ID', 'ID'), reading)
    const start = summaryOf(preamble, 'Actual Start Time', 'Start Time')
    return (row) => {
      const address = row.get('Email')
      const leadId = reading.leadId(address, undefined)
      if (leadId === undefined) return { skipped: 'without a mail address' }
      const registered =
        row.get('Registration Time') === undefined ? [] : [registration(row, leadId, reading)]
      const attended = isNo(row.get('Attended')) ? [] : [attendance(row, leadId, webinarId, start, reading)]
      const events = [...registered, ...attended]
      return events.length === 0 ? { skipped: 'did not attend' } : { events }
    }
  },
}

const roles = [
  ['host details', 'of a host'],
  ['panelist details', 'of a panelist'],
] as const
