import { createHash } from 'node:crypto'
import type { RefusedEvent } from './answer.ts'
import type { Line } from './delivery.ts'

/** An event on its way, and where it came from. */
export interface EventLine extends Line {
  readonly file: string
  /** From 1: of the line in NDJSON, of the record in CSV. */
  readonly number: number
  /** As it was read. */
  readonly original: string
  /** Bytes of all sources up to its end. */
  readonly bytesRead: number
}

/** A new id for a place in a file. */
export type IdOf = (place: {
  readonly file: string
  readonly number: number
  readonly original: string
}) => string

/**
 * The same id for the same line at the same place of a file of the same name, so that a file whose sending broke
 * off can be sent again from its beginning: what was accepted is recognised by source and id.
 */
export const idOfPlace: IdOf = ({ file, number, original }) => {
  const hex = createHash('sha256')
    .update(JSON.stringify([file, number, original]))
    .digest('hex')
  // A UUID of version 8: made from what it stands for.
  const variant = ((Number.parseInt(hex[16]!, 16) & 0x3) | 0x8).toString(16)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

/**
 * The event with an id and a source, where it has none. They are written behind the rest, the line is not put
 * together anew: numbers keep the digits that they were written with.
 */
export const identified = (
  text: string,
  place: Parameters<IdOf>[0],
  { idOf, source }: { readonly idOf: IdOf; readonly source: string },
): { readonly text: string } | { readonly refused: RefusedEvent } => {
  let event: unknown
  try {
    event = JSON.parse(text)
  } catch (error) {
    return { refused: malformed(`expected one JSON object in the line: ${(error as Error).message}`) }
  }
  if (typeof event !== 'object' || event === null || Array.isArray(event)) {
    return { refused: malformed('expected one JSON object in the line') }
  }
  const { id, source: given } = event as { id?: unknown; source?: unknown }
  const added = { ...(id == null ? { id: idOf(place) } : {}), ...(given == null ? { source } : {}) }
  if (Object.keys(added).length === 0) return { text }
  const open = text.slice(0, text.lastIndexOf('}'))
  const comma = Object.keys(event).length === 0 ? '' : ','
  return { text: `${open}${comma}${JSON.stringify(added).slice(1)}` }
}

const malformed = (detail: string): RefusedEvent => ({ code: 'malformed_json', field: '', detail })
