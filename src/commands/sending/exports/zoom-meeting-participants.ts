import type { Export } from '../export.ts'
import { plainName } from '../table.ts'
import { attendance, plainId, summaryOf, webinarIdOf } from '../zoom-report.ts'

/**
 * Reports > Usage > Participants: one row for each time somebody joined, or with "Show unique users" one for
 * each person; with "Export with meeting data" a summary in front, or the meeting in every row.
 */
export const zoomMeetingParticipants: Export = {
  name: 'Zoom meeting participants',
  source: 'zoom',
  recognise: ({ header, preamble }, reading) => {
    if (!header.has('Name (Original Name)')) return undefined
    if (!header.hasAny('User Email', 'Email')) return undefined
    if (!header.hasAny('Duration (Minutes)', 'Total Duration (Minutes)')) return undefined
    const inRows = header.hasAny('Meeting ID')
    const found = summaryOf(preamble, 'Meeting ID', 'ID')
    const webinarId = inRows ? undefined : webinarIdOf(found, reading)
    const host = summaryOf(preamble, 'User Email', 'Host Email')
    const start = summaryOf(preamble, 'Start Time')
    return (row) => {
      const address = row.get('User Email', 'Email')
      const leadId = reading.leadId(address, undefined)
      if (leadId === undefined) return { skipped: 'without a mail address' }
      if (host !== undefined && plainName(host) === plainName(address ?? '')) return { skipped: 'of a host' }
      if (plainName(row.get('In Waiting Room') ?? '') === 'yes')
        return { skipped: 'in the waiting room only' }
      const meeting = webinarId ?? webinarIdOf(plainId(row.get('Meeting ID')), reading)
      const began = row.get('Start Time') ?? start
      return { events: [attendance(row, leadId, meeting, began, reading)] }
    }
  },
}
