import { EmbudoError } from './error.ts'
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
  /**
   * Default: for ever. With less, what a rebuild can still read is a part of history, and duplicates of records that
   * are gone count in it.
   */
  readonly retentionMs?: number
  /**
   * A record is a duplicate where its source and id stand on its partition within this many records before it.
   * Default 100,000. Fixed once the topic has been read: a rebuild would drop others than were dropped live.
   */
  readonly duplicatesWithin?: number
  /** Its events are embudo's own: nobody else may send them. */
  readonly isInternal?: boolean
}

/** Throws `topic_definition` for what is no window: each record of it takes 25 bytes a partition and reader. */
export const duplicatesWithin = ({ name, duplicatesWithin: records = 100_000 }: TopicDefinition): number => {
  if (Number.isInteger(records) && records >= 1 && records <= 10_000_000) return records
  throw new EmbudoError(
    'topic_definition',
    `duplicatesWithin of the topic ${name}: expected a whole number from 1 to 10,000,000, got ${records}`,
  )
}

export const topic = <const Name extends TopicName, const Subject extends keyof DataOf<Name> & string>(
  definition: TopicDefinition<Name, Subject> & { readonly joinsOn?: keyof DataOf<Name> & string },
): TopicDefinition<Name, Subject> => definition
