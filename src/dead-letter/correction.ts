/** What an operator has decided about a record that could not be applied. */
export type Correction =
  | { readonly decision: 'discarded' }
  | { readonly decision: 'edited'; readonly value: Buffer }

/** The decisions, as the corrections topic has them. */
export interface Corrections {
  readonly size: number
  of(reader: string, topic: string, partition: number, offset: number): Correction | undefined
}
