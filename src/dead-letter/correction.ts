/** What an operator has decided about a record that one projection could not apply. */
export type Correction = Decided & {
  /** Of the event that says so. */
  readonly id: string
}

export type Decided =
  | { readonly decision: 'discarded' }
  /** `value` stands in the place of the record's own, framed like it. */
  | { readonly decision: 'edited'; readonly value: Buffer }

/** Every decision on record, as far as this process has read the topic of corrections. */
export interface Corrections {
  /** Nothing need be asked for where it is 0. */
  readonly size: number
  /** Throws `corrections_unknown` (retriable) where the topic has not been readable for a while. */
  of(reader: string, topic: string, partition: number, offset: number): Correction | undefined
}

interface Decidable {
  readonly state: string
  /** The id of the event that decides about it. */
  readonly decision: string | null
}

/**
 * Whether a decision about a letter is on its way, or in the log and not yet known here: until it is, nobody may apply
 * the letter as it is.
 */
export const awaitsDecision = (letter: Decidable, known: Correction | undefined): boolean =>
  letter.decision === null ? letter.state === 'deciding' : letter.decision !== known?.id
