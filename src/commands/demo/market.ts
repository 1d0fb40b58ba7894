/** Where leads come from, and how far they get: what a marketing team would recognise. */
export interface LeadSource {
  readonly name: string
  /** Of all leads, in percent. */
  readonly weight: number
  /** How many attend a webinar: 40 in 100 over all sources. */
  readonly attends: number
  /** How many convert, before what they do raises or lowers it. */
  readonly converts: number
  /** What one lead costs, in euros. */
  readonly costPerLead: number
}

export const leadSources: readonly LeadSource[] = [
  { name: 'webinar', weight: 30, attends: 0.75, converts: 0.1, costPerLead: 9 },
  { name: 'google-ads', weight: 25, attends: 0.25, converts: 0.04, costPerLead: 21 },
  { name: 'linkedin', weight: 20, attends: 0.3, converts: 0.06, costPerLead: 34 },
  { name: 'referral', weight: 10, attends: 0.35, converts: 0.18, costPerLead: 5 },
  { name: 'organic', weight: 15, attends: 0.2, converts: 0.05, costPerLead: 2 },
]

/** Who came to a webinar buys more often than who did not. */
export const conversionFactor = { attended: 1.6, stayedAway: 0.55 } as const

export const days = 60
export const dayMs = 86_400_000
const webinarCount = 12

export interface Webinar {
  readonly webinarId: string
  readonly beginsAtMs: number
}

export const webinarSeconds = 3_600

/** Every fifth day at 16:00 UTC, the last one two days before the end. */
export const webinarsUntil = (untilMs: number): Webinar[] =>
  Array.from({ length: webinarCount }, (_, index) => ({
    webinarId: `W-${index + 1}`,
    beginsAtMs: untilMs - days * dayMs + (3 + index * 5) * dayMs + 16 * 3_600_000,
  }))

export const contents = [
  { weight: 34, contentType: 'article', count: 40, seconds: 180 },
  { weight: 24, contentType: 'video', count: 18, seconds: 420 },
  { weight: 16, contentType: 'ebook', count: 9, seconds: 1_100 },
  { weight: 14, contentType: 'case_study', count: 12, seconds: 300 },
  { weight: 12, contentType: 'podcast', count: 15, seconds: 1_500 },
] as const

export const offers = [
  {
    weight: 62,
    conversionType: 'course_purchase',
    values: ['49.00', '79.00', '129.00', '199.00', '299.00'],
    learns: true,
  },
  { weight: 28, conversionType: 'subscription', values: ['19.00', '29.90', '99.00'], learns: true },
  {
    weight: 10,
    conversionType: 'consulting',
    values: ['900.00', '1500.00', '2400.00', '4800.00'],
    learns: false,
  },
] as const

/** With the seats that a course has by default; of the one in `fullCourse` none is left. */
export const courses = ['C-1', 'C-2', 'C-3', 'C-4', 'C-5', 'C-6', 'C-7', 'C-8'] as const
export const fullCourse = 'C-9-full'
export const coursePrices = ['49.00', '129.00', '299.00'] as const
