import { createHmac, hash } from 'node:crypto'

/** SHA-256 in hexadecimal; with a secret, keyed by it: who does not have it cannot try out what was hashed. */
export const digest = (content: string, secret: string | undefined): string =>
  secret === undefined ? hash('sha256', content) : createHmac('sha256', secret).update(content).digest('hex')

/**
 * The id of an event that has none: made from what it says and from how often that was said before, never from
 * its place, so that a newer export that holds old rows again gives them the ids that they had.
 */
export const contentId = (contentDigest: string, occurrence: number): string =>
  uuidOf(occurrence === 0 ? contentDigest : hash('sha256', `${contentDigest} ${occurrence}`))

/**
 * The id of an event that is to be another one than all before it, the same again when its sending is taken up: made
 * from the seed of that sending, from where it stands, and from what it says.
 */
export const seededId = (seed: string, line: number, content: string): string =>
  uuidOf(hash('sha256', `${seed} ${line}\n${content}`))

/** A UUID of version 8: made from what it stands for. */
const uuidOf = (hex: string): string => {
  const variant = ((Number.parseInt(hex[16]!, 16) & 0x3) | 0x8).toString(16)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}
