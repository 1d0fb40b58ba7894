import type { Log, LogReader } from '../log/port.ts'

/** Where a reader stands. */
export interface Place {
  readonly reader: string
  readonly topic: string
  readonly partition: number
  readonly offset: number
}

/**
 * When the record at each place, or the first one behind it, was appended: in milliseconds since the epoch, in the
 * order of the places; undefined where the log does not say in time.
 */
export type AppendTimes = (places: readonly Place[]) => Promise<(number | undefined)[]>

export interface AppendTimesOptions {
  readonly now?: () => number
  /** For one record. Default 1,000. */
  readonly patienceMs?: number
  /** Until another record of the same reader is looked at; the one before stands in for it. Default 1,000. */
  readonly freshMs?: number
}

/** Remembers one record of each reader and partition: one that stands still is looked at once, whoever asks. */
export const appendTimes = (
  log: Pick<Log, 'reader'>,
  { now = Date.now, patienceMs = 1_000, freshMs = 1_000 }: AppendTimesOptions = {},
): AppendTimes => {
  const known = new Map<string, Known>()
  const turns = new Map<string, Promise<unknown>>()
  let reader: LogReader | undefined

  const look = async ({ topic, partition, offset }: Place): Promise<Known | undefined> => {
    reader ??= log.reader({ maxBufferedBytes: 64 * 1024 })
    for await (const { records } of reader.read(topic, partition, offset, AbortSignal.timeout(patienceMs))) {
      return { offset, lookedAtMs: now(), appendedAtMs: records[0]!.timestamp }
    }
    return undefined
  }

  const timeAt = async (place: Place): Promise<number | undefined> => {
    const key = `${place.reader}/${place.topic}/${place.partition}`
    const before = known.get(key)
    const isGood =
      before?.offset === place.offset ||
      (before !== undefined && before.offset < place.offset && now() - before.lookedAtMs < freshMs)
    if (isGood) return before.appendedAtMs
    // What the log does not say is not known: who asks has other signs to go by.
    const found = await look(place).catch(() => undefined)
    if (found === undefined) known.delete(key)
    else known.set(key, found)
    return found?.appendedAtMs
  }

  /** A log's reader reads a partition once at a time. */
  const inTurn = (place: Place): Promise<number | undefined> => {
    const key = `${place.topic}/${place.partition}`
    const turn = (turns.get(key) ?? Promise.resolve()).then(() => timeAt(place))
    turns.set(key, turn)
    return turn
  }

  return (places) => Promise.all(places.map(inTurn))
}

interface Known {
  readonly offset: number
  readonly lookedAtMs: number
  readonly appendedAtMs: number
}
