import type { EventCatalog, TopicName } from './event.ts'

type DataOf<Name extends TopicName> = EventCatalog[Name][keyof EventCatalog[Name]]

/** One topic per bounded context: order across the event types of one subject is what folds need. */
export interface TopicDefinition<Name extends TopicName = TopicName, Subject extends string = string> {
  readonly name: Name
  /** The field of the data that is the record's key. */
  readonly subject: Subject
  /** Fixed when the topic is made: growing means moving to a new topic. */
  readonly partitions: number
  /** The field that analytics joins on, where it is not the subject. */
  readonly joinsOn?: string
  /** Default: for ever. */
  readonly retentionMs?: number
}

export const topic = <const Name extends TopicName, const Subject extends keyof DataOf<Name> & string>(
  definition: TopicDefinition<Name, Subject> & { readonly joinsOn?: keyof DataOf<Name> & string },
): TopicDefinition<Name, Subject> => definition
