import type { Export } from '../export.ts'
import { sourceName } from '../source-name.ts'

/** Contacts > Export. Which columns it has besides the address is chosen there, and changed over the years. */
export const activecampaignContacts: Export = {
  name: 'ActiveCampaign contacts',
  source: 'activecampaign',
  recognise: ({ header }, reading) => {
    if (header.hasAny('Record ID', 'Record ID - Contact', 'Approval Status', 'Attended')) return undefined
    if (!header.hasAny('Email', 'Email Address')) return undefined
    if (!header.hasAny(...created)) return undefined
    if (!header.hasAny(...ownIds, 'IP', 'IP Address', 'Tags', 'Lists')) return undefined
    return (row) => {
      const address = row.get('Email', 'Email Address')
      const own = row.get(...ownIds)
      const leadId = reading.leadId(address, own === undefined ? undefined : `activecampaign-${own}`)
      if (leadId === undefined || address === undefined) return { skipped: 'without a mail address' }
      const data = {
        leadId,
        email: address.toLowerCase(),
        firstName: row.get('First Name'),
        lastName: row.get('Last Name'),
        company: row.get('Account', 'Account Name', 'Organization', 'Organization Name', 'Company'),
        source: sourceName(row.get('Source')) ?? 'activecampaign',
      }
      return { events: [{ type: 'lead_registered', time: reading.instant(row.get(...created)), data }] }
    }
  },
}

const ownIds = ['Contact ID', 'Subscriber ID', 'ID'] as const
const created = ['Date Created', 'Created', 'Created Date', 'Date Added', 'Subscription Date'] as const
