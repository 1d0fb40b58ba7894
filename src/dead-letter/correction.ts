/** What was decided about a record that could not be applied. It holds for every reader, also in a rebuild. */
export type Correction =
  | { readonly decision: 'discarded' }
  | { readonly decision: 'edited'; readonly value: Buffer }

/** The decisions on record. `size` is how many there are, so that who reads millions need not ask for each. */
export interface Corrections {
  readonly size: number
  of(reader: string, topic: string, partition: number, offset: number): Correction | undefined
}
