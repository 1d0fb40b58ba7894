import type { AvroRecord } from '../../define/field.ts'
import { metadataFields, type Rows } from './container.ts'
import { longAt, type Skip, skipperOf } from './skipper.ts'

/** One row within the bytes of `Rows`. */
export interface RowPlace {
  readonly offset: number
  readonly bytes: Buffer
  /** Where in them the event's own begin. */
  readonly payloadAt: number
}

/** Walked over when it is asked for, which is hardly ever: nothing is kept for it while rows are collected. */
export const placesOf = (rows: Pick<Rows, 'count' | 'bytes'>, payload: AvroRecord): RowPlace[] => {
  const bytes = rows.bytes()
  const skipPayload = skipperOf(payload)
  let at = 0
  return Array.from({ length: rows.count }, () => {
    const start = at
    const offsetAt = skipBefore(bytes, start)
    const payloadAt = skipOffset(bytes, offsetAt)
    at = skipPayload(bytes, payloadAt)
    return {
      offset: longAt(bytes, offsetAt, payloadAt),
      bytes: bytes.subarray(start, at),
      payloadAt: payloadAt - start,
    }
  })
}

const offsetField = metadataFields.findIndex(({ name }) => name === '_offset')
const skipperOfMetadata = (fields: typeof metadataFields): Skip =>
  skipperOf({ type: 'record', namespace: 'embudo', name: 'metadata', fields })
const skipBefore = skipperOfMetadata(metadataFields.slice(0, offsetField))
/** The last one: the payload begins where it ends. */
const skipOffset = skipperOfMetadata(metadataFields.slice(offsetField))
