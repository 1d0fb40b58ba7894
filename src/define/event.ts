/**
 * What happened, as folds, tallies and sagas see it. The generated file beside the schemas fills
 * `EventCatalog`: topic -> event type -> the shape of its data, so that the compiler knows every field.
 */
// biome-ignore lint/suspicious/noEmptyInterface: filled by declaration merging from schemas/events.generated.ts
export interface EventCatalog {}

export type TopicName = keyof EventCatalog & string

/** The data of every event type, whatever its topic. */
export type EventDataByType = UnionToIntersection<EventCatalog[TopicName]>
export type EventType = keyof EventDataByType & string

/** Read only, its data too: everybody who reads the event gets this object. */
export interface DomainEvent<Data = unknown, Type extends string = string> {
  readonly type: Type
  readonly id: string
  readonly source: string
  /** When it happened: ISO 8601 in UTC with milliseconds, so that texts compare as instants. */
  readonly time: string
  /** The value of the topic's subject field: the record's key. */
  readonly subject: string
  readonly data: Data
  readonly topic: string
  readonly partition: number
  readonly offset: number
  /** When the log took it, in milliseconds since the epoch. */
  readonly appendedAtMs: number
  readonly correlationId: string | undefined
  readonly causationId: string | undefined
  readonly traceparent: string | undefined
}

export type EventOf<Type extends EventType> = DomainEvent<EventDataByType[Type], Type>

/** An event that is still to be appended; what is left out is filled in by whoever appends it. */
export type NewEvent = {
  [Type in EventType]: {
    readonly type: Type
    readonly data: EventDataByType[Type]
    readonly id?: string
    readonly source?: string
    readonly time?: string
  }
}[EventType]

declare const personal: unique symbol

/**
 * Personal data: folds, sagas, outboxes and dead letters carry it and cannot look inside. Only `query/`, effects
 * and exports open it, through the personal-data port.
 */
export interface Personal<Value> {
  readonly [personal]: Value
}

/** An exact decimal as text, for example "49.00". Never a double. */
export type Decimal = string

type UnionToIntersection<Union> = (Union extends unknown ? (member: Union) => void : never) extends (
  member: infer Intersection,
) => void
  ? Intersection
  : never
