export interface UuidSources {
  /** Milliseconds since the epoch. */
  readonly now: () => number
  readonly randomBytes: (count: number) => Uint8Array
}

/**
 * UUIDs of version 7 that only go up: within a millisecond, and when the clock steps back, the 12 bits behind the
 * time count on, and run over into the next millisecond.
 */
export const uuidV7 = ({ now, randomBytes }: UuidSources): (() => string) => {
  let lastMs = -1
  let count = 0

  return () => {
    const random = randomBytes(10)
    const [first = 0, second = 0, third = 0] = random
    const ms = now()
    if (ms > lastMs) {
      lastMs = ms
      // The upper half is left free, so that a burst has room to count.
      count = ((first << 8) | second) & 0x7ff
    } else if (++count > 0xfff) {
      lastMs += 1
      count = 0
    }
    const time = hex(lastMs, 12)
    const node = Array.from(random.subarray(3, 10), (byte) => hex(byte, 2)).join('')
    const variant = hex(0x80 | (third & 0x3f), 2)
    return `${time.slice(0, 8)}-${time.slice(8)}-7${hex(count, 3)}-${variant}${node.slice(0, 2)}-${node.slice(2)}`
  }
}

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0')
