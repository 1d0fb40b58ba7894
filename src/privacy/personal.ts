import type { PersonalTag } from '../define/field.ts'

/**
 * The one way into and out of personal text. What is sealed goes into the log, the read models and dead letters
 * as it is; only the edge opens it, a page or a batch at a time.
 */
export interface PersonalData {
  /** The text as the log keeps it. `owner` is the value of the field that the tag names as whose it is. */
  seal(text: string, tag: PersonalTag, owner: string): string
  /** In the order given; null stays null, and so does what can no longer be opened. */
  open(texts: readonly (string | null)[]): Promise<(string | null)[]>
}
