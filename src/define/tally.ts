import type { ByEvent, Columns, RowOf } from './columns.ts'
import type { DomainEvent, EventCatalog, Personal, TopicName } from './event.ts'
import type { TopicDefinition } from './topic.ts'

/** Only what commutes: partial rows of different partitions are combined in any order. */
export type Measure = 'sum' | 'min' | 'max'
export const sum = 'sum'
export const min = 'min'
export const max = 'max'

/**
 * Rows that many subjects touch: one partial row per key and partition, combined by a view, so that no two
 * partitions contend.
 */
export interface TallyDefinition {
  readonly kind: 'tally'
  readonly name: string
  readonly version: number
  readonly topic: TopicDefinition
  readonly columns: Columns
  readonly measures: Readonly<Record<string, Measure>>
  readonly count: Readonly<
    Record<string, (event: DomainEvent<never>) => Readonly<Record<string, unknown>> | null>
  >
}

type KeyColumn<C extends Columns> = {
  [K in keyof C]: C[K] extends `${string}primary key${string}` ? K : never
}[keyof C]

/** Personal text cannot be counted: the row it would land in belongs to many. */
type NotPersonal<C extends Columns> = {
  [K in keyof C]: RowOf<C>[K] extends Personal<string> | null ? 'a tally takes no personal data' : C[K]
}

/** Rows of a batch come together by the texts of their keys: one value must not have two. */
type ExactKeys<C extends Columns> = {
  [K in keyof C]: C[K] extends `${'numeric' | 'timestamptz' | 'double precision'}${string}primary key${string}`
    ? 'a key of a tally is text, a whole number or a boolean'
    : C[K]
}

/** Text and instants have an order and no sum; a least and a greatest of nothing is null. */
type MeasureOf<C> =
  | (C extends `${'integer' | 'bigint' | 'double precision' | 'numeric'}${string}` ? 'sum' : never)
  | (C extends `${string}not null${string}` | `boolean${string}` | object ? never : 'min' | 'max')

interface TallyInput<Name extends TopicName, C extends Columns, Count> {
  readonly name: string
  readonly version: number
  readonly topic: TopicDefinition<Name>
  readonly columns: C & NotPersonal<C> & ExactKeys<C>
  readonly measures: { readonly [K in Exclude<keyof C, KeyColumn<C>>]: MeasureOf<C[K]> }
  /** What an event adds: the key and any of the measures; null adds nothing. */
  readonly count: Count & ByEvent<Name, C, Count>
}

type Counts<Name extends TopicName, C extends Columns> = {
  readonly [Type in keyof EventCatalog[Name]]?: (
    event: DomainEvent<EventCatalog[Name][Type], Type & string>,
  ) => (Pick<RowOf<C>, KeyColumn<C>> & Partial<RowOf<C>>) | null
}

export const tally = <const Name extends TopicName, const C extends Columns, Count extends Counts<Name, C>>(
  input: TallyInput<Name, C, Count>,
): TallyDefinition => ({ ...input, kind: 'tally' }) as unknown as TallyDefinition
