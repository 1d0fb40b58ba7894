import type { Columns, RowOf, SnakeCase } from './columns.ts'
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

interface ReadModelInput<Name extends TopicName, Subject extends string, C extends Columns> {
  readonly name: string
  readonly version: number
  readonly topic: TopicDefinition<Name, Subject>
  readonly columns: C & Readonly<Record<SnakeCase<Subject>, `text primary key${string}`>>
  /** The row before the first event; nullable columns may be left out. */
  readonly initial: (subject: string) => InitialRow<RowOf<C>>
  /** What each event makes of the row; null deletes it. */
  readonly evolve: {
    readonly [Type in keyof EventCatalog[Name]]?: (
      row: RowOf<C>,
      event: DomainEvent<EventCatalog[Name][Type], Type & string>,
    ) => RowOf<C> | null
  }
}

type InitialRow<R> = { [K in keyof R as null extends R[K] ? never : K]: R[K] } & {
  [K in keyof R as null extends R[K] ? K : never]?: R[K]
}

export const readModel = <
  const Name extends TopicName,
  const Subject extends string,
  const C extends Columns,
>(
  input: ReadModelInput<Name, Subject, C>,
): ReadModelDefinition => ({ ...input, kind: 'read model' }) as unknown as ReadModelDefinition
