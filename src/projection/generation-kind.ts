import type { PoolClient } from 'pg'
import type { Consumer } from '../consumer/consumer.ts'

/** What a kind of projection does with its generations; their lifecycle (rebuild, verify, switch, rollback, drop) is the same for all. */
export interface GenerationKind {
  /** Makes its tables, and the names that people read where there are none yet. */
  prepare(generation: number, isLive: boolean): Promise<void>
  /** Feeds it, in the partitions that this process owns, until disposed. */
  start(generation: number): Promise<Consumer>
  /** Compares two generations at equal positions. */
  compare(live: number, other: number, signal: AbortSignal): Promise<Comparison>
  /** Makes it the one that is read, inside the transaction that changes the generations' states and has locked both generations' positions. */
  makeLive(client: PoolClient, generation: number): Promise<void>
  /** Once nobody feeds or reads it any more. */
  drop(generation: number): Promise<void>
}

export interface Comparison {
  readonly rows: number
  readonly differences: number
  readonly examples: readonly Difference[] /* at most 20 */
}

export interface Difference {
  readonly key: string
  readonly live: object | null
  readonly other: object | null
  readonly columns: readonly string[]
}
