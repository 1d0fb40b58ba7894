import { int16, int32, nullString, string, WireReader } from './wire.ts'

/** Version 8 is the last before the compact encoding, and says in words why a batch was refused. */
export const PRODUCE = { key: 0, name: 'Produce', version: 8 } as const

export interface ProducePart {
  readonly topic: string
  readonly partition: number
  readonly batch: Buffer
}

export interface ProduceOutcome {
  readonly topic: string
  readonly partition: number
  readonly errorCode: number
  readonly baseOffset: number
  readonly errorMessage: string | null
}

const ALL_IN_SYNC_REPLICAS = -1

/** One batch for each partition, acknowledged by all in-sync replicas. */
export function encodeProduce(parts: readonly ProducePart[], timeoutMs: number): Buffer[] {
  const byTopic = Map.groupBy(parts, (part) => part.topic)
  const body = [nullString, int16(ALL_IN_SYNC_REPLICAS), int32(timeoutMs, byTopic.size)]
  for (const [topic, ofTopic] of byTopic) {
    body.push(string(topic), int32(ofTopic.length))
    for (const { partition, batch } of ofTopic) body.push(int32(partition, batch.length), batch)
  }
  return body
}

export function decodeProduce(payload: Buffer): { outcomes: ProduceOutcome[]; throttleMs: number } {
  const reader = new WireReader(payload)
  const outcomes = reader.array(() => {
    const topic = reader.string() ?? ''
    return reader.array(() => {
      const partition = reader.int32()
      const errorCode = reader.int16()
      const baseOffset = reader.int64()
      reader.int64() // log append time
      reader.int64() // log start offset
      const recordMessages = reader.array(() => {
        reader.int32() // which record
        return reader.string()
      })
      const errorMessage = reader.string() ?? recordMessages.find((message) => message !== null) ?? null
      return { topic, partition, errorCode, baseOffset, errorMessage }
    })
  })
  return { outcomes: outcomes.flat(), throttleMs: reader.int32() }
}
