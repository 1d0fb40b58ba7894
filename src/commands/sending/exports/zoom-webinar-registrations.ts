import type { Export } from '../export.ts'
import { plainName } from '../table.ts'
import { registration } from '../zoom-report.ts'

/** Reports > Webinar > Registration Report; the same columns for the registrants of a meeting. */
export const zoomWebinarRegistrations: Export = {
  name: 'Zoom registration report',
  source: 'zoom',
  recognise: ({ header }, reading) => {
    if (!header.has('Email', 'Registration Time', 'Approval Status')) return undefined
    if (header.hasAny('Attended', 'Time in Session (minutes)')) return undefined
    return (row) => {
      const leadId = reading.leadId(row.get('Email'), undefined)
      if (leadId === undefined) return { skipped: 'without a mail address' }
      const status = plainName(row.get('Approval Status') ?? '')
      if (/^(denied|cancel)/.test(status)) return { skipped: 'denied or cancelled' }
      return { events: [registration(row, leadId, reading)] }
    }
  },
}
