import { EmbudoError } from '../define/error.ts'
import type { LogFailure } from './port.ts'

export const tooLarge = (detail: string): LogFailure => ({
  failed: true,
  code: 'record_too_large',
  detail,
  retriable: false,
})
export const refused = (detail: string): LogFailure => ({
  failed: true,
  code: 'log_refused',
  detail,
  retriable: false,
})
/** It may be in the log, or get there. */
export const unknown = (detail: string): LogFailure => ({
  failed: true,
  code: 'log_timeout',
  detail,
  retriable: true,
})

export function busy(bytes: number, pendingBytes: number, maxPendingBytes: number): EmbudoError {
  const fits = bytes <= maxPendingBytes
  return new EmbudoError(
    'log_busy',
    fits
      ? 'Too much waits to be appended already. Try again in a moment.'
      : `A call of ${bytes} bytes is more than may wait at all (${maxPendingBytes}). Append fewer records at once.`,
    { facts: { bytes, pendingBytes, maxPendingBytes }, retriable: fits },
  )
}
