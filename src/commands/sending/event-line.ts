import type { RefusedEvent } from './answer.ts'
import type { Line } from './delivery.ts'

/** An event on its way, and where it came from. */
export interface EventLine extends Line {
  /** From 1: of the line in the file. */
  readonly number: number
  /** Of CSV: the row that it was made from. */
  readonly row?: { readonly header: readonly string[]; readonly cells: readonly string[] }
  /** Known to be no event, without asking the server. */
  readonly refused?: RefusedEvent
}
