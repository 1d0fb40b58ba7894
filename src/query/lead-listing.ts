import type { Columns } from '../define/columns.ts'
import { fieldOf, identifier, type ListedField, type Listing } from './listing.ts'

/** What a lead shows, and the column of lead_profile that it comes from. */
const columnByField = {
  leadId: 'lead_id',
  email: 'email',
  firstName: 'first_name',
  lastName: 'last_name',
  company: 'company',
  source: 'source',
  registeredAt: 'registered_at',
  webinarsAttended: 'webinars_attended',
  attendanceSeconds: 'attendance_seconds',
  contentConsumed: 'content_consumed',
  conversions: 'conversions',
  revenue: 'revenue',
} as const

const averageEngagement: ListedField = {
  name: 'engagementScore',
  expression: '("engagement_sum" / nullif("engagement_count", 0))',
  type: 'double precision',
  nullable: true,
  isPersonal: false,
}

/** Leads, as rows of the read model `lead_profile` under the names of the published interface. */
export const leadListing = (leadProfile: { readonly name: string; readonly columns: Columns }): Listing => {
  const field = ([name, column]: [string, string]) => fieldOf(name, column, leadProfile.columns[column]!)
  const fields = [
    ...Object.entries(columnByField).map(field),
    averageEngagement,
    field(['firstSeenAt', 'first_seen_at']),
    field(['lastSeenAt', 'last_seen_at']),
  ]
  return { name: 'leads', from: `public.${identifier(leadProfile.name)}`, fields, keys: [fields[0]!] }
}
