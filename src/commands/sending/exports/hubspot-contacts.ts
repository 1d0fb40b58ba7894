import type { Export } from '../export.ts'
import { sourceName } from '../source-name.ts'

/** Contacts > Export, with the columns of the view or all properties: what is not known is left alone. */
export const hubspotContacts: Export = {
  name: 'HubSpot contacts',
  source: 'hubspot',
  recognise: ({ header }, reading) => {
    if (!header.hasAny('Record ID', 'Record ID - Contact')) return undefined
    if (!header.has('Email') || !header.hasAny('First Name', 'Last Name', 'Lifecycle Stage')) return undefined
    return (row) => {
      const address = row.get('Email')
      const own = row.get('Record ID - Contact', 'Record ID')
      const leadId = reading.leadId(address, own === undefined ? undefined : `hubspot-${own}`)
      if (leadId === undefined || address === undefined) return { skipped: 'without a mail address' }
      const data = {
        leadId,
        email: address.toLowerCase(),
        firstName: row.get('First Name'),
        lastName: row.get('Last Name'),
        company: row.get('Company Name', 'Associated Company', 'Primary Company', 'Company'),
        source:
          sourceName(row.get('Original Traffic Source', 'Original Source', 'Original Source Type')) ??
          'hubspot',
      }
      return { events: [{ type: 'lead_registered', time: reading.instant(row.get('Create Date')), data }] }
    }
  },
}
