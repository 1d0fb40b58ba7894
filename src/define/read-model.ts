import type { AnswersOnly, ByEvent, Columns, RowOf, SnakeCase } from './columns.ts'
import type { DomainEvent, EventCatalog, TopicName } from './event.ts'
import type { TopicDefinition } from './topic.ts'

/**
 * One row a subject, folded in the order of the log. Pure: the same events give the same row, whenever and
 * wherever they are folded, which is what makes a rebuild equal to live.
 */
export interface ReadModelDefinition {
  readonly kind: 'read model'
  readonly name: string
  /** Raise it when the fold or the columns change: a rebuild follows. */
  readonly version: number
  readonly topic: TopicDefinition
  readonly columns: Columns
  readonly initial: (subject: string) => Row
  readonly evolve: Readonly<Record<string, (row: Row, event: DomainEvent<never>) => Row | null>>
}

export type Row = Record<string, unknown>

interface ReadModelInput<Name extends TopicName, Subject extends string, C extends Columns, First, Evolve> {
  readonly name: string
  readonly version: number
  readonly topic: TopicDefinition<Name, Subject>
  readonly columns: C & KeyedBy<SnakeCase<Subject>, C>
  /** The row before the first event; nullable columns may be left out. */
  readonly initial: First & AnswersOnly<C, First>
  /** What each event makes of the row; null deletes it. */
  readonly evolve: Evolve & ByEvent<Name, C, Evolve>
}

type FirstRow<C extends Columns> = (subject: string) => InitialRow<RowOf<C>>

type InitialRow<R> = { [K in keyof R as null extends R[K] ? never : K]: R[K] } & {
  [K in keyof R as null extends R[K] ? K : never]?: R[K]
}

type Evolves<Name extends TopicName, C extends Columns> = {
  readonly [Type in keyof EventCatalog[Name]]?: (
    row: RowOf<C>,
    event: DomainEvent<EventCatalog[Name][Type], Type & string>,
  ) => RowOf<C> | null
}

/** One row a subject: its key is the topic's subject and nothing else. For other keys there are tallies. */
type KeyedBy<Key extends string, C> = Readonly<Record<Key, `text primary key${string}`>> & {
  readonly [K in keyof C]: K extends Key
    ? unknown
    : C[K] extends `${string}primary key${string}`
      ? `the one key is ${Key}`
      : unknown
}

export const readModel = <
  const Name extends TopicName,
  const Subject extends string,
  const C extends Columns,
  First extends FirstRow<C>,
  Evolve extends Evolves<Name, C>,
>(
  input: ReadModelInput<Name, Subject, C, First, Evolve>,
): ReadModelDefinition => ({ ...input, kind: 'read model' }) as unknown as ReadModelDefinition
