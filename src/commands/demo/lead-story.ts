import type { Happening } from './event.ts'
import {
  contents,
  conversionFactor,
  coursePrices,
  courses,
  dayMs,
  days,
  fullCourse,
  type LeadSource,
  leadSources,
  offers,
  type Webinar,
  webinarSeconds,
  webinarsUntil,
} from './market.ts'
import { emailOf, type Person, person } from './people.ts'
import { type Random, seededRandom } from './random.ts'

export interface DemoOptions {
  readonly leads: number
  readonly seed: number
  /** The end of the story, at midnight; it begins 60 days before. */
  readonly untilMs: number
}

/** All that one lead does until the end, in the order of time. It depends on the seed, its number and the end only. */
export const leadStory = (n: number, { seed, untilMs }: Omit<DemoOptions, 'leads'>): Happening[] => {
  const random = seededRandom(seed, n)
  const who = person(random, n)
  const source = random.weighted(leadSources)
  const webinars = webinarsUntil(untilMs)
  const registeredAtMs = registration(random, source, webinars, untilMs)
  const leadId = `L-${seed}-${n}`

  const { firstName, lastName, company, email } = who
  const story: Happening[] = [
    {
      type: 'lead_registered',
      atMs: registeredAtMs,
      data: {
        leadId,
        email,
        firstName,
        lastName,
        ...(random.chance(0.9) ? { company } : {}),
        source: source.name,
      },
    },
  ]
  const attended = attendances(random, source, webinars, registeredAtMs)
  story.push(
    ...attended.map((attendance): Happening => ({ ...attendance, data: { leadId, ...attendance.data } })),
    ...consumption(random, leadId, registeredAtMs, attended.length > 0),
    ...updates(random, leadId, who, n, registeredAtMs),
    ...conversions(random, {
      leadId,
      userId: `U-${seed}-${n}`,
      who,
      source,
      attended: attended.length > 0,
      registeredAtMs,
    }),
    ...enrollment(random, `${seed}-${n}`, n, who, registeredAtMs),
  )
  return story.filter(({ atMs }) => atMs < untilMs).sort((a, b) => a.atMs - b.atMs)
}

const registration = (
  random: Random,
  source: LeadSource,
  webinars: readonly Webinar[],
  untilMs: number,
): number => {
  const beginsAtMs = untilMs - days * dayMs
  if (source.name === 'webinar') {
    // Most sign up in the last days before it.
    const registered = random.pick(webinars).beginsAtMs - 3_600_000 - random.wait(1.5 * dayMs)
    return registered < beginsAtMs ? inTheDay(random, beginsAtMs) : Math.floor(registered)
  }
  const draw = () => beginsAtMs + Math.floor(random.next() ** 1.15 * days) * dayMs
  let dayStart = draw()
  // On a weekend half of them wait.
  if (isWeekend(dayStart) && random.chance(0.5)) dayStart = draw()
  return inTheDay(random, dayStart)
}

const attendances = (
  random: Random,
  source: LeadSource,
  webinars: readonly Webinar[],
  registeredAtMs: number,
) => {
  if (!random.chance(source.attends)) return []
  const wanted = 1 + (random.chance(0.45) ? 1 : 0) + (random.chance(0.25) ? random.whole(1, 2) : 0)
  const open = webinars.filter(({ beginsAtMs }) => beginsAtMs > registeredAtMs)
  return open.slice(0, wanted).map(({ webinarId, beginsAtMs }) => {
    const lateSeconds = Math.min(1_500, Math.floor(random.wait(150)))
    const stays = random.chance(0.6) ? 0.8 + random.next() * 0.2 : random.next()
    const attendanceDuration = Math.max(30, Math.floor((webinarSeconds - lateSeconds) * stays))
    const score =
      Math.round(Math.min(1, (attendanceDuration / webinarSeconds) * (0.6 + random.next() * 0.5)) * 100) / 100
    return {
      type: 'webinar_attended' as const,
      atMs: beginsAtMs + (lateSeconds + attendanceDuration) * 1_000 + random.whole(0, 999),
      data: { webinarId, attendanceDuration, ...(random.chance(0.95) ? { engagementScore: score } : {}) },
    }
  })
}

const consumption = (random: Random, leadId: string, afterMs: number, attended: boolean): Happening[] => {
  const times = Math.floor(random.wait(attended ? 7.5 : 5.2))
  let atMs = afterMs
  return Array.from({ length: times }, (): Happening => {
    atMs = later(random, atMs, 2.2 * dayMs)
    const { contentType, count, seconds } = random.weighted(contents)
    return {
      type: 'content_consumed',
      atMs,
      data: {
        leadId,
        contentId: `${contentType.replace('_', '-')}-${random.whole(1, count)}`,
        contentType,
        consumptionTime: 5 + Math.floor(Math.min(4 * seconds, random.wait(seconds))),
      },
    }
  })
}

const updates = (random: Random, leadId: string, who: Person, n: number, afterMs: number): Happening[] => {
  if (!random.chance(0.3)) return []
  const { firstName, lastName, company } = random.chance(0.5)
    ? who
    : { ...who, company: person(random, n).company }
  return [
    {
      type: 'lead_updated',
      atMs: later(random, afterMs, 12 * dayMs),
      data: {
        leadId,
        company,
        ...(company === who.company ? {} : { email: emailOf(firstName, lastName, company, n) }),
      },
    },
  ]
}

interface Buyer {
  readonly leadId: string
  readonly userId: string
  readonly who: Person
  readonly source: LeadSource
  readonly attended: boolean
  readonly registeredAtMs: number
}

/** What is bought, the account that comes with it, and the course that some of them finish. */
const conversions = (random: Random, buyer: Buyer): Happening[] => {
  const { leadId, userId, who, source, attended, registeredAtMs } = buyer
  const probability = source.converts * conversionFactor[attended ? 'attended' : 'stayedAway']
  if (!random.chance(probability)) return []
  const story: Happening[] = []
  let atMs = registeredAtMs
  let hasAccount = false
  for (let times = random.chance(0.3) ? 2 : 1; times > 0; times--) {
    const { conversionType, values, learns } = random.weighted(offers)
    atMs = later(random, atMs, 10 * dayMs)
    story.push({
      type: 'conversion_completed',
      atMs,
      data: { leadId, conversionType, value: random.pick<string>(values), currency: who.currency },
    })
    if (!learns || hasAccount) continue
    hasAccount = true
    const accountAtMs = atMs + random.whole(20, 400) * 1_000
    story.push({
      type: 'user_registered',
      atMs: accountAtMs,
      data: { userId, leadId, email: who.email, name: `${who.firstName} ${who.lastName}` },
    })
    if (random.chance(0.45)) {
      const score = Math.round((55 + 45 * random.next() ** 0.7) * 10) / 10
      story.push({
        type: 'course_completed',
        atMs: later(random, accountAtMs, 9 * dayMs),
        data: { userId, leadId, courseId: random.pick(courses), score },
      })
    }
  }
  return story
}

/** Every fiftieth lead enrols; of ten enrollments one has a card that is refused, of twenty-five one finds no seat. */
const enrollment = (
  random: Random,
  suffix: string,
  n: number,
  { currency }: Person,
  afterMs: number,
): Happening[] => {
  if (n % 50 !== 0) return []
  const enrollments = n / 50
  return [
    {
      type: 'enrollment_requested',
      // Within hours: the story's end must not cut off what a tour shows.
      atMs: afterMs + random.whole(600, 6 * 3_600) * 1_000,
      data: {
        enrollmentId: `E-${suffix}`,
        leadId: `L-${suffix}`,
        courseId: enrollments % 25 === 7 ? fullCourse : random.pick(courses),
        price: random.pick<string>(coursePrices),
        currency,
        paymentMethod: enrollments % 10 === 3 ? 'pm_card_chargeDeclined' : 'pm_card_visa',
      },
    },
  ]
}

/** Some time after, at an hour when people are up. */
const later = (random: Random, afterMs: number, meanMs: number): number => {
  const atMs = afterMs + 60_000 + random.wait(meanMs)
  return Math.max(afterMs + 60_000, inTheDay(random, Math.floor(atMs / dayMs) * dayMs))
}

/** Between 6 and 22 UTC, mostly around two. */
const inTheDay = (random: Random, dayStartMs: number): number =>
  Math.floor(dayStartMs + (6 + (random.next() + random.next()) * 8) * 3_600_000)

const isWeekend = (ms: number): boolean => [0, 6].includes(new Date(ms).getUTCDay())
