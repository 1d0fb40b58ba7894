import type { EventDataByType, Personal } from '../../define/event.ts'

/** An event as it is sent: personal texts are plain still, and what may be null may be absent. */
export type DemoEvent = {
  [Type in DemoType]: {
    readonly type: Type
    readonly id: string
    readonly source: string
    readonly time: string
    readonly data: AsSent<EventDataByType[Type]>
  }
}[DemoType]

/** What happened, before it has an id. */
export type Happening = {
  [Type in DemoType]: {
    readonly type: Type
    readonly atMs: number
    readonly data: AsSent<EventDataByType[Type]>
  }
}[DemoType]

export type DemoType =
  | 'lead_registered'
  | 'lead_updated'
  | 'webinar_attended'
  | 'content_consumed'
  | 'conversion_completed'
  | 'user_registered'
  | 'course_completed'
  | 'enrollment_requested'
  | 'spend_recorded'

type AsSent<Data> = {
  readonly [Name in keyof Data as null extends Data[Name] ? never : Name]: Plain<Data[Name]>
} & {
  readonly [Name in keyof Data as null extends Data[Name] ? Name : never]?: Plain<Data[Name]>
}

type Plain<Value> = Value extends Personal<infer Text> ? Text : Value
