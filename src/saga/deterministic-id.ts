import { createHash } from 'node:crypto'

/** The same text gives the same UUID, whoever asks (version 8 of RFC 9562: made from a hash). */
export const uuidOf = (text: string): string => {
  const bytes = createHash('sha256').update(text).digest()
  bytes[6] = (bytes[6]! & 0x0f) | 0x80
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  const hex = bytes.toString('hex', 0, 16)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

/** One saga of a type for each subject: starting it again is starting the same one. */
export const sagaIdOf = (type: string, subject: string): string => uuidOf(`saga\n${type}\n${subject}`)

/** The same for every attempt. */
export const idempotencyKeyOf = (sagaId: string, step: string, kind: 'call' | 'undo'): string =>
  `${sagaId}:${step}:${kind}`
