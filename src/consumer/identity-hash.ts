import type { LogRecord } from '../log/port.ts'

/** 128 bits as four words; valid until the next one is made. */
export type Identity = Readonly<Uint32Array>

/** What an event is known by, whoever sends it how often: a hash of its source and id; none without an id. */
export type IdentityHash = (record: LogRecord) => Identity | undefined

/**
 * 128 bits: among ten billion records, each compared with the 100,000 before it, two that differ meet with a
 * probability below 10^-23. Keyed with four random words, so that nobody can choose ids that collide, or that
 * crowd one place of a window. The key decides no verdict, and need not be the same in two processes.
 */
export const identityHash = (
  key: Readonly<Uint32Array> = crypto.getRandomValues(new Uint32Array(4)),
): IdentityHash => {
  const [k0 = 0, k1 = 0, k2 = 0, k3 = 0] = key
  const identity = new Uint32Array(4)
  let bytes = Buffer.from(new ArrayBuffer(256))
  let words = wordsOf(bytes)

  const copy = (record: LogRecord, header: string, at: number): number => {
    const length = record.copyHeader(header, bytes, at)
    if (at + length + wordBytes <= bytes.length) return length
    const larger = Buffer.from(new ArrayBuffer(wordBytes * (at + length)))
    bytes.copy(larger, 0, 0, at)
    bytes = larger
    words = wordsOf(bytes)
    return record.copyHeader(header, bytes, at)
  }

  return (record) => {
    const idLength = copy(record, 'ce_id', wordBytes)
    if (idLength < 0) return undefined
    // In front, so that no source can be taken for the end of an id.
    words[0] = idLength
    const idEnd = wordBytes + idLength
    const end = idEnd + Math.max(0, copy(record, 'ce_source', idEnd))
    for (let pad = end; pad < end + wordBytes; pad++) bytes[pad] = 0
    halfSipHash(words, end, k0, k1, identity, 0)
    halfSipHash(words, end, k2, k3, identity, 2)
    return identity
  }
}

const wordBytes = 4

const wordsOf = (bytes: Buffer): Uint32Array => new Uint32Array(bytes.buffer, 0, bytes.length / wordBytes)

/**
 * HalfSipHash-1-3 with 64 bits out, as Linux's tables use it (Aumasson and Bernstein; lib/siphash.c), of `length`
 * bytes that are followed by zeros to the end of their word.
 */
export function halfSipHash(
  words: Uint32Array,
  length: number,
  k0: number,
  k1: number,
  into: Uint32Array,
  at: number,
): void {
  let v0 = k0 | 0
  let v1 = k1 ^ 0xee
  let v2 = k0 ^ 0x6c796765
  let v3 = k1 ^ 0x74656462
  const last = length >>> 2
  // The words, the length on top of the last; then, with nothing to take in, three rounds for each half of the
  // answer. One loop, so that a round is written once.
  for (let index = 0; index <= last + 6; index++) {
    const word = index < last ? words[index]! : index === last ? words[index]! | (length << 24) : 0
    if (index === last + 1) v2 ^= 0xee
    if (index === last + 4) {
      into[at] = v1 ^ v3
      v1 ^= 0xdd
    }
    v3 ^= word
    v0 = (v0 + v1) | 0
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
    v0 = (v0 << 16) | (v0 >>> 16)
    v2 = (v2 + v3) | 0
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
    v0 = (v0 + v3) | 0
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
    v2 = (v2 + v1) | 0
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
    v2 = (v2 << 16) | (v2 >>> 16)
    v0 ^= word
  }
  into[at + 1] = v1 ^ v3
}
