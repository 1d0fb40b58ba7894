// Generated from the .avsc files by `npx embudo schemas generate`. Do not edit.
import type { EventVersion } from '../src/define/catalog.ts'
import type { Decimal, Personal } from '../src/define/event.ts'
import { alerts } from './alerts/topic.ts'
import { campaigns } from './campaigns/topic.ts'
import { content } from './content/topic.ts'
import { corrections } from './corrections/topic.ts'
import { enrollments } from './enrollments/topic.ts'
import { leads } from './leads/topic.ts'
import { learners } from './learners/topic.ts'
import { payments } from './payments/topic.ts'

/** The system noticed something that a person should know. */
export interface SystemAlert {
  readonly alertId: string
  readonly alertType: string
  readonly severity: 'info' | 'warning' | 'critical'
  readonly message: string
}

/** What a source cost on a day. */
export interface SpendRecorded {
  readonly source: string
  readonly amount: Decimal
  /** ISO 4217, for example EUR */
  readonly currency: string
  readonly day: string
}

/** People were told of it. */
export interface ContentAnnounced {
  readonly contentId: string
  readonly channel: string
}

/** A draft was made better. */
export interface ContentOptimized {
  readonly contentId: string
  readonly title: string
  /** Where the text lies */
  readonly bodyRef: string
  readonly scores: Readonly<Record<string, number>>
}

/** It can be read. */
export interface ContentPublished {
  readonly contentId: string
  readonly title: string | null
  readonly channel: string
}

/** A draft is not good enough. */
export interface ContentRejected {
  readonly contentId: string
  readonly scores: Readonly<Record<string, number>>
  readonly reasons: readonly string[]
}

/** A draft came in. */
export interface ContentSubmitted {
  readonly contentId: string
  readonly title: string
  /** Where the text lies, for example s3://drafts/42.md */
  readonly bodyRef: string
  readonly channel: string | null
}

/** It can no longer be read. */
export interface ContentUnpublished {
  readonly contentId: string
  readonly channel: string
  readonly reasons: readonly string[]
}

/** A draft is good enough. */
export interface ContentValidated {
  readonly contentId: string
  readonly scores: Readonly<Record<string, number>>
}

/** A record that a projection could not apply is passed over by it, from now on and in every rebuild. */
export interface EventDiscarded {
  /** The record's topic, partition and offset, as leads:3:1042 */
  readonly place: string
  readonly projection: string
  readonly reason: string | null
}

/** A record that a projection could not apply is read by it as another one, from now on and in every rebuild. */
export interface EventEdited {
  /** The record's topic, partition and offset, as leads:3:1042 */
  readonly place: string
  readonly projection: string
  /** What stands in the place of the record's value, in base64 */
  readonly value: string
  readonly reason: string | null
}

/** The enrollment came to nothing, and all that was done for it is undone. */
export interface EnrollmentCancelled {
  readonly enrollmentId: string
  /** The lead that analytics joins on */
  readonly leadId: string
  readonly courseId: string
  readonly reason: string
}

/** The enrollment stands. */
export interface EnrollmentConfirmed {
  readonly enrollmentId: string
  /** The lead that analytics joins on */
  readonly leadId: string
  readonly courseId: string
}

/** Someone asks for a seat in a course. Starts the enrollment saga. */
export interface EnrollmentRequested {
  readonly enrollmentId: string
  /** The lead that analytics joins on */
  readonly leadId: string
  readonly courseId: string
  readonly price: Decimal
  /** ISO 4217, for example EUR */
  readonly currency: string
  readonly paymentMethod: string
}

/** A held seat is free again. */
export interface SeatReleased {
  readonly enrollmentId: string
  /** The lead that analytics joins on */
  readonly leadId: string
  readonly courseId: string
}

/** A seat is held. */
export interface SeatReserved {
  readonly enrollmentId: string
  /** The lead that analytics joins on */
  readonly leadId: string
  readonly courseId: string
}

/** A lead read, watched or downloaded something. */
export interface ContentConsumed {
  readonly leadId: string
  readonly contentId: string
  readonly contentType: string
  /** How long they spent on it. In seconds. */
  readonly consumptionTime: number
}

/** A lead became worth money. Revenue is what conversions say. */
export interface ConversionCompleted {
  readonly leadId: string
  readonly conversionType: string
  readonly value: Decimal
  /** ISO 4217, for example EUR */
  readonly currency: string
}

/** A person gave their contact for the first time. */
export interface LeadRegistered {
  readonly leadId: string
  readonly email: Personal<string>
  readonly firstName: Personal<string> | null
  readonly lastName: Personal<string> | null
  readonly company: string | null
  /** Where the lead came from, for example webinar or google-ads */
  readonly source: string | null
}

/** What is known of a lead changed; absent means unchanged. */
export interface LeadUpdated {
  readonly leadId: string
  readonly email: Personal<string> | null
  readonly firstName: Personal<string> | null
  readonly lastName: Personal<string> | null
  readonly company: string | null
  /** Where the lead came from, for example webinar or google-ads */
  readonly source: string | null
}

/** A lead was in a webinar. */
export interface WebinarAttended {
  readonly leadId: string
  readonly webinarId: string
  /** How long they stayed. In seconds. */
  readonly attendanceDuration: number
  /** In ratio. */
  readonly engagementScore: number | null
}

/** A learner finished a course. */
export interface CourseCompleted {
  readonly userId: string
  /** The lead that analytics joins on */
  readonly leadId: string
  readonly courseId: string
  readonly score: number
}

/** A person opened an account. */
export interface UserRegistered {
  readonly userId: string
  /** The lead that analytics joins on */
  readonly leadId: string
  readonly email: Personal<string>
  readonly name: Personal<string> | null
}

/** The provider holds the money. */
export interface PaymentAuthorized {
  readonly paymentId: string
  /** The lead that analytics joins on */
  readonly leadId: string
  readonly enrollmentId: string
  readonly amount: Decimal
  /** ISO 4217, for example EUR */
  readonly currency: string
  readonly provider: string
}

/** The money has come. */
export interface PaymentCompleted {
  readonly paymentId: string
  /** The lead that analytics joins on */
  readonly leadId: string
  readonly enrollmentId: string
  readonly amount: Decimal
  /** ISO 4217, for example EUR */
  readonly currency: string
  readonly provider: string
}

/** The money will not come. */
export interface PaymentFailed {
  readonly paymentId: string
  /** The lead that analytics joins on */
  readonly leadId: string
  readonly enrollmentId: string
  readonly amount: Decimal
  /** ISO 4217, for example EUR */
  readonly currency: string
  readonly provider: string
  readonly reason: string
}

/** A payment was asked for. */
export interface PaymentInitiated {
  readonly paymentId: string
  /** The lead that analytics joins on */
  readonly leadId: string
  readonly enrollmentId: string
  readonly amount: Decimal
  /** ISO 4217, for example EUR */
  readonly currency: string
  readonly provider: string
}

/** The money went back. */
export interface PaymentRefunded {
  readonly paymentId: string
  /** The lead that analytics joins on */
  readonly leadId: string
  readonly enrollmentId: string
  readonly amount: Decimal
  /** ISO 4217, for example EUR */
  readonly currency: string
  readonly provider: string
}

declare module '../src/define/event.ts' {
  interface EventCatalog {
    alerts: {
      system_alert: SystemAlert
    }
    campaigns: {
      spend_recorded: SpendRecorded
    }
    content: {
      content_announced: ContentAnnounced
      content_optimized: ContentOptimized
      content_published: ContentPublished
      content_rejected: ContentRejected
      content_submitted: ContentSubmitted
      content_unpublished: ContentUnpublished
      content_validated: ContentValidated
    }
    corrections: {
      event_discarded: EventDiscarded
      event_edited: EventEdited
    }
    enrollments: {
      enrollment_cancelled: EnrollmentCancelled
      enrollment_confirmed: EnrollmentConfirmed
      enrollment_requested: EnrollmentRequested
      seat_released: SeatReleased
      seat_reserved: SeatReserved
    }
    leads: {
      content_consumed: ContentConsumed
      conversion_completed: ConversionCompleted
      lead_registered: LeadRegistered
      lead_updated: LeadUpdated
      webinar_attended: WebinarAttended
    }
    learners: {
      course_completed: CourseCompleted
      user_registered: UserRegistered
    }
    payments: {
      payment_authorized: PaymentAuthorized
      payment_completed: PaymentCompleted
      payment_failed: PaymentFailed
      payment_initiated: PaymentInitiated
      payment_refunded: PaymentRefunded
    }
  }
}

export const topics = [alerts, campaigns, content, corrections, enrollments, leads, learners, payments] as const

export const upcasts = {
}

export const versions: readonly EventVersion[] = [
  {"topic":"alerts","type":"system_alert","version":1,"schema":{"type":"record","namespace":"embudo.alerts","name":"system_alert","doc":"The system noticed something that a person should know.","fields":[{"name":"alertId","type":"string"},{"name":"alertType","type":"string","default":""},{"name":"severity","type":"string","default":"","embudo.oneOf":["info","warning","critical"]},{"name":"message","type":"string","default":""}]}},
  {"topic":"campaigns","type":"spend_recorded","version":1,"schema":{"type":"record","namespace":"embudo.campaigns","name":"spend_recorded","doc":"What a source cost on a day.","fields":[{"name":"source","type":"string"},{"name":"amount","type":{"type":"bytes","logicalType":"decimal","precision":18,"scale":4},"default":"\u0000","embudo.minimum":0},{"name":"currency","type":"string","default":"","doc":"ISO 4217, for example EUR","embudo.pattern":"^[A-Z]{3}$"},{"name":"day","type":{"type":"int","logicalType":"date"},"default":0}]}},
  {"topic":"content","type":"content_announced","version":1,"schema":{"type":"record","namespace":"embudo.content","name":"content_announced","doc":"People were told of it.","fields":[{"name":"contentId","type":"string"},{"name":"channel","type":"string","default":""}]}},
  {"topic":"content","type":"content_optimized","version":1,"schema":{"type":"record","namespace":"embudo.content","name":"content_optimized","doc":"A draft was made better.","fields":[{"name":"contentId","type":"string"},{"name":"title","type":"string","default":""},{"name":"bodyRef","type":"string","default":"","doc":"Where the text lies"},{"name":"scores","type":{"type":"map","values":"double"},"default":{}}]}},
  {"topic":"content","type":"content_published","version":1,"schema":{"type":"record","namespace":"embudo.content","name":"content_published","doc":"It can be read.","fields":[{"name":"contentId","type":"string"},{"name":"title","type":["null","string"],"default":null},{"name":"channel","type":"string","default":""}]}},
  {"topic":"content","type":"content_rejected","version":1,"schema":{"type":"record","namespace":"embudo.content","name":"content_rejected","doc":"A draft is not good enough.","fields":[{"name":"contentId","type":"string"},{"name":"scores","type":{"type":"map","values":"double"},"default":{}},{"name":"reasons","type":{"type":"array","items":"string"},"default":[]}]}},
  {"topic":"content","type":"content_submitted","version":1,"schema":{"type":"record","namespace":"embudo.content","name":"content_submitted","doc":"A draft came in.","fields":[{"name":"contentId","type":"string"},{"name":"title","type":"string","default":""},{"name":"bodyRef","type":"string","default":"","doc":"Where the text lies, for example s3://drafts/42.md"},{"name":"channel","type":["null","string"],"default":null}]}},
  {"topic":"content","type":"content_unpublished","version":1,"schema":{"type":"record","namespace":"embudo.content","name":"content_unpublished","doc":"It can no longer be read.","fields":[{"name":"contentId","type":"string"},{"name":"channel","type":"string","default":""},{"name":"reasons","type":{"type":"array","items":"string"},"default":[]}]}},
  {"topic":"content","type":"content_validated","version":1,"schema":{"type":"record","namespace":"embudo.content","name":"content_validated","doc":"A draft is good enough.","fields":[{"name":"contentId","type":"string"},{"name":"scores","type":{"type":"map","values":"double"},"default":{}}]}},
  {"topic":"corrections","type":"event_discarded","version":1,"schema":{"type":"record","namespace":"embudo.corrections","name":"event_discarded","doc":"A record that a projection could not apply is passed over by it, from now on and in every rebuild.","fields":[{"name":"place","type":"string","doc":"The record's topic, partition and offset, as leads:3:1042"},{"name":"projection","type":"string","default":""},{"name":"reason","type":["null","string"],"default":null}]}},
  {"topic":"corrections","type":"event_edited","version":1,"schema":{"type":"record","namespace":"embudo.corrections","name":"event_edited","doc":"A record that a projection could not apply is read by it as another one, from now on and in every rebuild.","fields":[{"name":"place","type":"string","doc":"The record's topic, partition and offset, as leads:3:1042"},{"name":"projection","type":"string","default":""},{"name":"value","type":"string","default":"","doc":"What stands in the place of the record's value, in base64"},{"name":"reason","type":["null","string"],"default":null}]}},
  {"topic":"enrollments","type":"enrollment_cancelled","version":1,"schema":{"type":"record","namespace":"embudo.enrollments","name":"enrollment_cancelled","doc":"The enrollment came to nothing, and all that was done for it is undone.","fields":[{"name":"enrollmentId","type":"string"},{"name":"leadId","type":"string","default":"","doc":"The lead that analytics joins on"},{"name":"courseId","type":"string","default":""},{"name":"reason","type":"string","default":""}]}},
  {"topic":"enrollments","type":"enrollment_confirmed","version":1,"schema":{"type":"record","namespace":"embudo.enrollments","name":"enrollment_confirmed","doc":"The enrollment stands.","fields":[{"name":"enrollmentId","type":"string"},{"name":"leadId","type":"string","default":"","doc":"The lead that analytics joins on"},{"name":"courseId","type":"string","default":""}]}},
  {"topic":"enrollments","type":"enrollment_requested","version":1,"schema":{"type":"record","namespace":"embudo.enrollments","name":"enrollment_requested","doc":"Someone asks for a seat in a course. Starts the enrollment saga.","fields":[{"name":"enrollmentId","type":"string"},{"name":"leadId","type":"string","default":"","doc":"The lead that analytics joins on"},{"name":"courseId","type":"string","default":""},{"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":18,"scale":4},"default":"\u0000","embudo.minimum":0},{"name":"currency","type":"string","default":"","doc":"ISO 4217, for example EUR","embudo.pattern":"^[A-Z]{3}$"},{"name":"paymentMethod","type":"string","default":""}]}},
  {"topic":"enrollments","type":"seat_released","version":1,"schema":{"type":"record","namespace":"embudo.enrollments","name":"seat_released","doc":"A held seat is free again.","fields":[{"name":"enrollmentId","type":"string"},{"name":"leadId","type":"string","default":"","doc":"The lead that analytics joins on"},{"name":"courseId","type":"string","default":""}]}},
  {"topic":"enrollments","type":"seat_reserved","version":1,"schema":{"type":"record","namespace":"embudo.enrollments","name":"seat_reserved","doc":"A seat is held.","fields":[{"name":"enrollmentId","type":"string"},{"name":"leadId","type":"string","default":"","doc":"The lead that analytics joins on"},{"name":"courseId","type":"string","default":""}]}},
  {"topic":"leads","type":"content_consumed","version":1,"schema":{"type":"record","namespace":"embudo.leads","name":"content_consumed","doc":"A lead read, watched or downloaded something.","fields":[{"name":"leadId","type":"string"},{"name":"contentId","type":"string","default":""},{"name":"contentType","type":"string","default":""},{"name":"consumptionTime","type":"long","default":0,"embudo.minimum":0,"doc":"How long they spent on it","embudo.unit":"seconds","embudo.maximum":604800}]}},
  {"topic":"leads","type":"conversion_completed","version":1,"schema":{"type":"record","namespace":"embudo.leads","name":"conversion_completed","doc":"A lead became worth money. Revenue is what conversions say.","fields":[{"name":"leadId","type":"string"},{"name":"conversionType","type":"string","default":""},{"name":"value","type":{"type":"bytes","logicalType":"decimal","precision":18,"scale":4},"default":"\u0000","embudo.minimum":0},{"name":"currency","type":"string","default":"","doc":"ISO 4217, for example EUR","embudo.pattern":"^[A-Z]{3}$"}]}},
  {"topic":"leads","type":"lead_registered","version":1,"schema":{"type":"record","namespace":"embudo.leads","name":"lead_registered","doc":"A person gave their contact for the first time.","fields":[{"name":"leadId","type":"string"},{"name":"email","type":"string","default":"","embudo.personal":{"of":"leadId","group":"contact","id":"lead.email"}},{"name":"firstName","type":["null","string"],"default":null,"embudo.personal":{"of":"leadId","group":"contact","id":"lead.firstName"}},{"name":"lastName","type":["null","string"],"default":null,"embudo.personal":{"of":"leadId","group":"contact","id":"lead.lastName"}},{"name":"company","type":["null","string"],"default":null},{"name":"source","type":["null","string"],"default":null,"doc":"Where the lead came from, for example webinar or google-ads"}]}},
  {"topic":"leads","type":"lead_updated","version":1,"schema":{"type":"record","namespace":"embudo.leads","name":"lead_updated","doc":"What is known of a lead changed; absent means unchanged.","fields":[{"name":"leadId","type":"string"},{"name":"email","type":["null","string"],"default":null,"embudo.personal":{"of":"leadId","group":"contact","id":"lead.email"}},{"name":"firstName","type":["null","string"],"default":null,"embudo.personal":{"of":"leadId","group":"contact","id":"lead.firstName"}},{"name":"lastName","type":["null","string"],"default":null,"embudo.personal":{"of":"leadId","group":"contact","id":"lead.lastName"}},{"name":"company","type":["null","string"],"default":null},{"name":"source","type":["null","string"],"default":null,"doc":"Where the lead came from, for example webinar or google-ads"}]}},
  {"topic":"leads","type":"webinar_attended","version":1,"schema":{"type":"record","namespace":"embudo.leads","name":"webinar_attended","doc":"A lead was in a webinar.","fields":[{"name":"leadId","type":"string"},{"name":"webinarId","type":"string","default":""},{"name":"attendanceDuration","type":"long","default":0,"embudo.minimum":0,"doc":"How long they stayed","embudo.unit":"seconds","embudo.maximum":604800},{"name":"engagementScore","type":["null","double"],"default":null,"embudo.minimum":0,"embudo.maximum":1,"embudo.unit":"ratio"}]}},
  {"topic":"learners","type":"course_completed","version":1,"schema":{"type":"record","namespace":"embudo.learners","name":"course_completed","doc":"A learner finished a course.","fields":[{"name":"userId","type":"string"},{"name":"leadId","type":"string","default":"","doc":"The lead that analytics joins on"},{"name":"courseId","type":"string","default":""},{"name":"score","type":"double","default":0,"embudo.minimum":0}]}},
  {"topic":"learners","type":"user_registered","version":1,"schema":{"type":"record","namespace":"embudo.learners","name":"user_registered","doc":"A person opened an account.","fields":[{"name":"userId","type":"string"},{"name":"leadId","type":"string","default":"","doc":"The lead that analytics joins on"},{"name":"email","type":"string","default":"","embudo.personal":{"of":"userId","group":"contact","id":"user.email"}},{"name":"name","type":["null","string"],"default":null,"embudo.personal":{"of":"userId","group":"contact","id":"user.name"}}]}},
  {"topic":"payments","type":"payment_authorized","version":1,"schema":{"type":"record","namespace":"embudo.payments","name":"payment_authorized","doc":"The provider holds the money.","fields":[{"name":"paymentId","type":"string"},{"name":"leadId","type":"string","default":"","doc":"The lead that analytics joins on"},{"name":"enrollmentId","type":"string","default":""},{"name":"amount","type":{"type":"bytes","logicalType":"decimal","precision":18,"scale":4},"default":"\u0000","embudo.minimum":0},{"name":"currency","type":"string","default":"","doc":"ISO 4217, for example EUR","embudo.pattern":"^[A-Z]{3}$"},{"name":"provider","type":"string","default":""}]}},
  {"topic":"payments","type":"payment_completed","version":1,"schema":{"type":"record","namespace":"embudo.payments","name":"payment_completed","doc":"The money has come.","fields":[{"name":"paymentId","type":"string"},{"name":"leadId","type":"string","default":"","doc":"The lead that analytics joins on"},{"name":"enrollmentId","type":"string","default":""},{"name":"amount","type":{"type":"bytes","logicalType":"decimal","precision":18,"scale":4},"default":"\u0000","embudo.minimum":0},{"name":"currency","type":"string","default":"","doc":"ISO 4217, for example EUR","embudo.pattern":"^[A-Z]{3}$"},{"name":"provider","type":"string","default":""}]}},
  {"topic":"payments","type":"payment_failed","version":1,"schema":{"type":"record","namespace":"embudo.payments","name":"payment_failed","doc":"The money will not come.","fields":[{"name":"paymentId","type":"string"},{"name":"leadId","type":"string","default":"","doc":"The lead that analytics joins on"},{"name":"enrollmentId","type":"string","default":""},{"name":"amount","type":{"type":"bytes","logicalType":"decimal","precision":18,"scale":4},"default":"\u0000","embudo.minimum":0},{"name":"currency","type":"string","default":"","doc":"ISO 4217, for example EUR","embudo.pattern":"^[A-Z]{3}$"},{"name":"provider","type":"string","default":""},{"name":"reason","type":"string","default":""}]}},
  {"topic":"payments","type":"payment_initiated","version":1,"schema":{"type":"record","namespace":"embudo.payments","name":"payment_initiated","doc":"A payment was asked for.","fields":[{"name":"paymentId","type":"string"},{"name":"leadId","type":"string","default":"","doc":"The lead that analytics joins on"},{"name":"enrollmentId","type":"string","default":""},{"name":"amount","type":{"type":"bytes","logicalType":"decimal","precision":18,"scale":4},"default":"\u0000","embudo.minimum":0},{"name":"currency","type":"string","default":"","doc":"ISO 4217, for example EUR","embudo.pattern":"^[A-Z]{3}$"},{"name":"provider","type":"string","default":""}]}},
  {"topic":"payments","type":"payment_refunded","version":1,"schema":{"type":"record","namespace":"embudo.payments","name":"payment_refunded","doc":"The money went back.","fields":[{"name":"paymentId","type":"string"},{"name":"leadId","type":"string","default":"","doc":"The lead that analytics joins on"},{"name":"enrollmentId","type":"string","default":""},{"name":"amount","type":{"type":"bytes","logicalType":"decimal","precision":18,"scale":4},"default":"\u0000","embudo.minimum":0},{"name":"currency","type":"string","default":"","doc":"ISO 4217, for example EUR","embudo.pattern":"^[A-Z]{3}$"},{"name":"provider","type":"string","default":""}]}},
]
