import type {} from '../../schemas/events.generated.ts'
import type { EventDataByType, EventType, Personal } from '../define/event.ts'

/**
 * What a sender gives for each event type of the catalogue: personal texts are plain still, and what may be null
 * may be left out. In the package this is written out, without a way back into the platform's source.
 */
export type EventInputs = { readonly [Type in EventType]: AsSent<EventDataByType[Type]> }

type AsSent<Data> = {
  readonly [Name in keyof Data as null extends Data[Name] ? never : Name]: Plain<Data[Name]>
} & {
  readonly [Name in keyof Data as null extends Data[Name] ? Name : never]?: Plain<Data[Name]> | undefined
}

type Plain<Value> = Value extends Personal<infer Text> ? Text : Value
