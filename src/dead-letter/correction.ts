/** What an operator has decided about a record that one projection could not apply. */
export type Correction =
  | { readonly decision: 'discarded' }
  /** `value` stands in the place of the record's own, framed like it. */
  | { readonly decision: 'edited'; readonly value: Buffer }

/** Every decision on record, as far as this process has read the topic of corrections. */
export interface Corrections {
  readonly size: number
  of(reader: string, topic: string, partition: number, offset: number): Correction | undefined
}
