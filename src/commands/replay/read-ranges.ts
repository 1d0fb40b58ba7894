import type { Log, LogReader, WholeRecord } from '../../log/port.ts'
import type { PartitionRange } from './range.ts'

/** Records of one partition that follow one another. */
export interface Run {
  readonly partition: number
  readonly records: readonly WholeRecord[]
}

/**
 * The records of several partitions in the order in which they were appended, as far as one clock can tell; each
 * partition's own order is kept whatever the clocks say. Ends early, without an error, when `signal` aborts.
 */
export async function* readRanges(
  log: Log,
  topic: string,
  ranges: readonly PartitionRange[],
  signal: AbortSignal,
): AsyncGenerator<Run, void, void> {
  await using reader = log.reader({ maxBufferedBytes: shareOf(ranges.length) })
  const heads: Head[] = []
  const next = async (partition: number, rest: AsyncGenerator<readonly WholeRecord[]>): Promise<void> => {
    const { value: records } = await rest.next()
    if (records) heads.push({ partition, records, at: 0, rest })
  }
  const begun = ranges.map((range) => [range.partition, readRange(reader, topic, range, signal)] as const)
  try {
    await Promise.all(begun.map(([partition, rest]) => next(partition, rest)))
    while (heads.length > 0) {
      heads.sort(byTime)
      const [first, second] = heads as [Head, Head | undefined]
      const from = first.at++
      while (first.at < first.records.length && (second === undefined || byTime(first, second) < 0))
        first.at++
      yield { partition: first.partition, records: first.records.slice(from, first.at) }
      if (first.at < first.records.length) continue
      heads.shift()
      await next(first.partition, first.rest)
    }
  } finally {
    await Promise.all(begun.map(([, rest]) => rest.return()))
  }
}

/** What comes from there on, as it comes, until `signal` aborts. */
export async function* follow(
  log: Log,
  topic: string,
  from: ReadonlyMap<number, number>,
  signal: AbortSignal,
): AsyncGenerator<Run, void, void> {
  await using reader = log.reader({ maxBufferedBytes: shareOf(from.size) })
  const leaving = new AbortController()
  const ends = AbortSignal.any([signal, leaving.signal])
  const waiting: { readonly run: Run; readonly taken: () => void }[] = []
  let wake: () => void = () => {}
  let failure: unknown
  const read = async (partition: number, offset: number): Promise<void> => {
    for await (const { records } of reader.read(topic, partition, offset, ends)) {
      if (ends.aborted) return
      await new Promise<void>((taken) => {
        waiting.push({ run: { partition, records }, taken })
        wake()
      })
    }
  }
  const reading = [...from].map(([partition, offset]) =>
    read(partition, offset).catch((error: unknown) => {
      failure ??= error
      wake()
    }),
  )
  const onAbort = () => wake()
  signal.addEventListener('abort', onAbort)
  try {
    while (!signal.aborted) {
      const next = waiting.shift()
      if (next !== undefined) {
        try {
          yield next.run
        } finally {
          next.taken()
        }
      } else if (failure !== undefined) throw failure
      else {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    }
  } finally {
    signal.removeEventListener('abort', onAbort)
    leaving.abort()
    for (const { taken } of waiting) taken()
    await Promise.all(reading)
  }
}

interface Head {
  readonly partition: number
  readonly records: readonly WholeRecord[]
  at: number
  readonly rest: AsyncGenerator<readonly WholeRecord[]>
}

/** Of one moment, the lower partition first: the same log gives the same order every time. */
const byTime = (one: Head, other: Head): number =>
  timeOf(one) - timeOf(other) || one.partition - other.partition

const timeOf = ({ records, at }: Head): number => records[at]!.timestamp

/** Fetched ahead, in all some tens of MiB whatever the number of partitions. */
const shareOf = (partitions: number): number =>
  Math.max(64 * 1024, Math.min(1024 * 1024, Math.floor((32 * 1024 * 1024) / Math.max(1, partitions))))

async function* readRange(
  reader: LogReader,
  topic: string,
  { partition, from, to }: PartitionRange,
  signal: AbortSignal,
): AsyncGenerator<readonly WholeRecord[], void, void> {
  if (from >= to) return
  for await (const { records } of reader.read(topic, partition, from, signal, to)) {
    const wanted = records.at(-1)!.offset < to ? records : records.filter(({ offset }) => offset < to)
    if (wanted.length > 0) yield wanted
  }
}
