import type { DecimalMark } from './local-number.ts'
import type { Row, TableHead } from './table.ts'

/**
 * A CSV export of another tool, known by its header row. Each is a file in exports/ that the program finds:
 * knowing one more is adding one more file, with an example under test/fixtures/exports/.
 */
export interface Export {
  /** As its users call it. */
  readonly name: string
  /** The source of its events. */
  readonly source: string
  /** How its rows become events, where this is the head of its table. Pure. */
  readonly recognise: (head: TableHead, reading: Reading) => ReadRow | undefined
}

export type ReadRow = (row: Row) => RowMeaning

export type RowMeaning =
  | { readonly events: readonly Draft[] }
  /** Nothing happened, and why, to follow "3 rows: ": "did not attend". */
  | { readonly skipped: string }

/** An event before it has an id and a source. */
export interface Draft {
  readonly type: string
  readonly time: string | undefined
  /** What is undefined is left out. */
  readonly data: Readonly<Record<string, unknown>>
  /** An id, a source or a subject of its own. */
  readonly envelope?: Readonly<Record<string, string>>
  /**
   * The row is one stay of several that one person may have had: all of the same lead and webinar become one
   * event, the time from the first, the seconds those that any of them covers.
   */
  readonly stay?: Stay
}

export interface Stay {
  readonly fromMs: number | undefined
  readonly toMs: number | undefined
  readonly seconds: number
}

/** How cells are to be read, as the options say. */
export interface Reading {
  /** An instant in ISO form; what is no time comes back as it is, for the server to say so. */
  readonly instant: (text: string | undefined) => string | undefined
  /** One-way from the mail address, or the tool's own id of the contact, as far as there is one. */
  readonly leadId: (address: string | undefined, own: string | undefined) => string | undefined
  /** A number, or the text as it is, also where it could be one of two. */
  readonly number: (text: string | undefined) => number | string | undefined
  /** Of numbers that could be read with either. */
  readonly decimal: DecimalMark | undefined
  /** Fields that have the same value in every event. */
  readonly set: ReadonlyMap<string, string>
}
