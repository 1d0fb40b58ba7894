/**
 * Kafka's default placement of a record with a key: murmur2, sign bit off, modulo the number of partitions.
 * Producers in other languages agree with it, so one subject's events meet in one partition whoever sent them.
 */
export const partitionFor = (key: Buffer, partitions: number): number =>
  (murmur2(key) & 0x7fffffff) % partitions

/** Kafka's own variant of murmur2, with its seed, as `org.apache.kafka.common.utils.Utils.murmur2`. */
export function murmur2(data: Buffer): number {
  const length = data.length
  let hash = 0x9747b28c ^ length
  const words = length & ~3
  for (let at = 0; at < words; at += 4) {
    let word = data[at]! | (data[at + 1]! << 8) | (data[at + 2]! << 16) | (data[at + 3]! << 24)
    word = Math.imul(word, M)
    word ^= word >>> 24
    hash = Math.imul(hash, M) ^ Math.imul(word, M)
  }
  const left = length & 3
  if (left === 3) hash ^= data[words + 2]! << 16
  if (left >= 2) hash ^= data[words + 1]! << 8
  if (left >= 1) hash = Math.imul(hash ^ data[words]!, M)
  hash ^= hash >>> 13
  hash = Math.imul(hash, M)
  return hash ^ (hash >>> 15)
}

const M = 0x5bd1e995
