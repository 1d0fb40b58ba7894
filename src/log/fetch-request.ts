import { int8, int16, int32, int64, string, WireReader } from './wire.ts'

/** Version 11 is the last before the compact encoding; 10 brought zstd. */
export const FETCH = { key: 1, name: 'Fetch', version: 11 } as const

export interface FetchPart {
  readonly topic: string
  readonly partition: number
  readonly from: number
  readonly maxBytes: number
}

export interface FetchLimits {
  readonly maxWaitMs: number
  readonly maxBytes: number
}

export interface FetchedPart {
  readonly topic: string
  readonly partition: number
  readonly errorCode: number
  readonly highWatermark: number
  /** Record batches, whole but for the last: in memory of their own, since records are views of it and may be kept. */
  readonly bytes: Buffer
}

const NO_REPLICA = -1
const READ_UNCOMMITTED = 0
const NO_SESSION = [0, -1] as const
const UNKNOWN = -1

export function encodeFetch(parts: readonly FetchPart[], { maxWaitMs, maxBytes }: FetchLimits): Buffer[] {
  const byTopic = Map.groupBy(parts, (part) => part.topic)
  const body = [int32(NO_REPLICA, maxWaitMs, 1, maxBytes), int8(READ_UNCOMMITTED)]
  body.push(int32(...NO_SESSION, byTopic.size))
  for (const [topic, ofTopic] of byTopic) {
    body.push(string(topic), int32(ofTopic.length))
    for (const { partition, from, maxBytes } of ofTopic) {
      body.push(int32(partition, UNKNOWN), int64(from), int64(UNKNOWN), int32(maxBytes))
    }
  }
  body.push(int32(0), int16(0)) // nothing forgotten, no rack
  return body
}

export function decodeFetch(payload: Buffer): {
  parts: FetchedPart[]
  errorCode: number
  throttleMs: number
} {
  const reader = new WireReader(payload)
  const throttleMs = reader.int32()
  const errorCode = reader.int16()
  reader.int32() // session
  const parts = reader.array(() => {
    const topic = reader.string() ?? ''
    return reader.array(() => {
      const partition = reader.int32()
      const errorCode = reader.int16()
      const highWatermark = reader.int64()
      reader.int64() // last stable offset
      reader.int64() // log start offset
      reader.array(() => [reader.int64(), reader.int64()]) // aborted transactions
      reader.int32() // preferred read replica
      return { topic, partition, errorCode, highWatermark, bytes: Buffer.from(reader.bytes()) }
    })
  })
  return { parts: parts.flat(), errorCode, throttleMs }
}
