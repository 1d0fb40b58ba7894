import type { LogRecord } from './log-reader.ts'

/** What lead_profile should hold, said again in the plainest way: money in units of 10^-4, times as numbers. */
export interface Profile {
  leadId: string
  email: string | null
  firstName: string | null
  lastName: string | null
  company: string | null
  source: string | null
  registeredAt: number | null
  webinars: number
  attendanceSeconds: number
  contents: number
  consumptionSeconds: number
  conversions: number
  revenue: Record<string, number>
  engagementSum: number
  engagementCount: number
  events: number
  firstSeenAt: number
  lastSeenAt: number
}

/** A lead's records must come in the order of the log. */
export const foldProfiles = (records: Iterable<LogRecord>): Map<string, Profile> => {
  const profiles = new Map<string, Profile>()
  for (const record of records) {
    if (record.topic !== 'embudo.leads') continue
    let profile = profiles.get(record.key)
    if (profile === undefined) {
      profile = emptyProfile(record.key)
      profiles.set(record.key, profile)
    }
    apply(profile, record)
  }
  return profiles
}

const apply = (profile: Profile, { type, time, data }: LogRecord): void => {
  const at = Date.parse(time)
  profile.events += 1
  profile.firstSeenAt = Math.min(profile.firstSeenAt, at)
  profile.lastSeenAt = Math.max(profile.lastSeenAt, at)
  switch (type) {
    case 'lead_registered':
      profile.registeredAt ??= at
      setContact(profile, data)
      break
    case 'lead_updated':
      setContact(profile, data)
      break
    case 'webinar_attended':
      profile.webinars += 1
      profile.attendanceSeconds += Number(data.attendanceDuration)
      if (data.engagementScore === null) break
      profile.engagementSum += Number(data.engagementScore)
      profile.engagementCount += 1
      break
    case 'content_consumed':
      profile.contents += 1
      profile.consumptionSeconds += Number(data.consumptionTime)
      break
    case 'conversion_completed': {
      const currency = String(data.currency)
      profile.conversions += 1
      profile.revenue[currency] = (profile.revenue[currency] ?? 0) + Number(data.value)
      break
    }
    default:
      throw new Error(`${type} on the topic of leads`)
  }
}

const setContact = (profile: Profile, data: LogRecord['data']): void => {
  for (const field of ['email', 'firstName', 'lastName', 'company', 'source'] as const) {
    const value = data[field]
    if (typeof value === 'string') profile[field] = value
  }
}

const emptyProfile = (leadId: string): Profile => ({
  leadId,
  email: null,
  firstName: null,
  lastName: null,
  company: null,
  source: null,
  registeredAt: null,
  webinars: 0,
  attendanceSeconds: 0,
  contents: 0,
  consumptionSeconds: 0,
  conversions: 0,
  revenue: {},
  engagementSum: 0,
  engagementCount: 0,
  events: 0,
  firstSeenAt: Number.POSITIVE_INFINITY,
  lastSeenAt: Number.NEGATIVE_INFINITY,
})

/** A row of the view, as node-postgres gives it: bigint as text. */
export const profileOf = (row: Record<string, unknown>): Profile => ({
  leadId: String(row.lead_id),
  email: textOf(row.email),
  firstName: textOf(row.first_name),
  lastName: textOf(row.last_name),
  company: textOf(row.company),
  source: textOf(row.source),
  registeredAt: row.registered_at instanceof Date ? row.registered_at.getTime() : null,
  webinars: Number(row.webinars_attended),
  attendanceSeconds: Number(row.attendance_seconds),
  contents: Number(row.content_consumed),
  consumptionSeconds: Number(row.consumption_seconds),
  conversions: Number(row.conversions),
  revenue: unitsOf(row.revenue as Record<string, string>),
  engagementSum: Number(row.engagement_sum),
  engagementCount: Number(row.engagement_count),
  events: Number(row.events),
  firstSeenAt: (row.first_seen_at as Date).getTime(),
  lastSeenAt: (row.last_seen_at as Date).getTime(),
})

const textOf = (value: unknown): string | null => (typeof value === 'string' ? value : null)

const unitsOf = (revenue: Record<string, string>): Record<string, number> =>
  Object.fromEntries(
    Object.entries(revenue).map(([currency, amount]) => {
      const [whole, fraction = ''] = amount.split('.')
      return [currency, Number(whole + fraction.padEnd(4, '0'))]
    }),
  )
