import { randomFillSync } from 'node:crypto'

export interface UuidSources {
  readonly nowMs: () => number
  /** Fills the bytes with randomness. */
  readonly fill: (bytes: Uint8Array) => void
}

/**
 * UUIDs of version 7 that only go up: within a millisecond, and when the clock steps back, the 12 bits behind
 * the time count on, and run over into the next millisecond.
 */
export const uuidV7 = (
  sources: UuidSources = { nowMs: Date.now, fill: (bytes) => randomFillSync(bytes) },
) => {
  // Randomness is drawn for many ids at once: the call costs more than the bytes.
  const pool = new Uint8Array(10 * 256)
  let at = pool.length
  let lastMs = -1
  let count = 0

  return (): string => {
    if (at === pool.length) {
      sources.fill(pool)
      at = 0
    }
    const now = sources.nowMs()
    if (now > lastMs) {
      lastMs = now
      // The upper half is left free, so that a burst has room to count.
      count = ((pool[at]! << 8) | pool[at + 1]!) & 0x7ff
    } else if (++count > 0xfff) {
      lastMs += 1
      count = 0
    }
    const high = Math.floor(lastMs / 0x10000)
    const id =
      `${hex[(high >>> 24) & 0xff]}${hex[(high >>> 16) & 0xff]}${hex[(high >>> 8) & 0xff]}${hex[high & 0xff]}-` +
      `${hex[(lastMs >>> 8) & 0xff]}${hex[lastMs & 0xff]}-${hex[0x70 | (count >>> 8)]}${hex[count & 0xff]}-` +
      `${hex[0x80 | (pool[at + 2]! & 0x3f)]}${hex[pool[at + 3]!]}-${hex[pool[at + 4]!]}${hex[pool[at + 5]!]}` +
      `${hex[pool[at + 6]!]}${hex[pool[at + 7]!]}${hex[pool[at + 8]!]}${hex[pool[at + 9]!]}`
    at += 10
    return id
  }
}

const hex = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))
