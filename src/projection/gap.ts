import { boundsOf } from '../consumer/bounds.ts'
import { distinct } from '../consumer/distinct.ts'
import { identityHash } from '../consumer/identity-hash.ts'
import type { Position } from '../consumer/positions.ts'
import { EmbudoError } from '../define/error.ts'
import { duplicatesWithin, type TopicDefinition } from '../define/topic.ts'
import type { Log, LogRecord } from '../log/port.ts'

export type Side = 'live' | 'other'

/** What one of two generations has not applied yet in a partition, and the other has. */
export interface Gap {
  readonly topic: string
  readonly partition: number
  readonly behind: Side
  /** The first offset of it, and one past the last. */
  readonly from: number
  readonly to: number
}

/** By partition, in which the two stand apart. One that has no position yet has applied nothing. */
export const gapsBetween = (
  live: readonly Pick<Position, 'topic' | 'partition' | 'nextOffset'>[],
  other: readonly Pick<Position, 'topic' | 'partition' | 'nextOffset'>[],
): Gap[] => {
  const places = new Map([...live, ...other].map((of) => [`${of.topic}:${of.partition}`, of]))
  const nextOf = (positions: typeof live, of: { topic: string; partition: number }) =>
    positions.find((p) => p.topic === of.topic && p.partition === of.partition)?.nextOffset ?? 0
  return [...places.values()].flatMap(({ topic, partition }) => {
    const [ofLive, ofOther] = [nextOf(live, { topic, partition }), nextOf(other, { topic, partition })]
    if (ofLive === ofOther) return []
    const behind: Side = ofLive < ofOther ? 'live' : 'other'
    return [
      { topic, partition, behind, from: Math.min(ofLive, ofOther), to: Math.max(ofLive, ofOther) } as const,
    ]
  })
}

/**
 * The records of a gap without its duplicates, which are told as a projector tells them. Throws `log_changed`
 * where the log no longer has them.
 */
export async function* recordsWithin(
  log: Log,
  { topic, partition, from, to }: Gap,
  definition: TopicDefinition,
  signal: AbortSignal,
): AsyncGenerator<readonly LogRecord[], void, void> {
  const bounds = await boundsOf(log, topic, partition)
  if (bounds.end < to || bounds.start > from) {
    throw new EmbudoError(
      'log_changed',
      `${topic}:${partition} no longer has the records ${from} to ${to - 1}, which one generation has applied`,
    )
  }
  const within = duplicatesWithin(definition)
  await using reader = log.reader()
  const start = Math.max(bounds.start, from - within)
  const batches = distinct(reader.read(topic, partition, start, signal, to), {
    from,
    duplicatesWithin: within,
    hash: identityHash(),
  })
  for await (const { records } of batches) yield records.filter(({ offset }) => offset < to)
  signal.throwIfAborted()
}
