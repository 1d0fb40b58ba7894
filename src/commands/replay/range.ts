import { InvalidArgumentError } from 'commander'
import { EmbudoError } from '../../define/error.ts'
import type { Log } from '../../log/port.ts'

/** One partition's part of a replay: from an offset up to another, which is not replayed any more. */
export interface PartitionRange {
  readonly partition: number
  readonly from: number
  readonly to: number
  /** The first offset that the log still has. */
  readonly start: number
}

export interface RangeOptions {
  /** For all partitions, or by partition. */
  readonly fromOffset?: Offsets
  readonly toOffset?: Offsets
  /** ISO 8601: when records were appended. */
  readonly from?: string
  readonly to?: string
  readonly partition?: readonly number[]
}

type Offsets = number | ReadonlyMap<number, number>

/** Ends where the log does now, unless it is told to end before. Throws `wrong_use`, `topic_unknown`. */
export const rangesOf = async (log: Log, topic: string, options: RangeOptions): Promise<PartitionRange[]> => {
  if (options.from !== undefined && options.fromOffset !== undefined) throw both('--from', '--from-offset')
  if (options.to !== undefined && options.toOffset !== undefined) throw both('--to', '--to-offset')
  const bounds = await log.bounds(topic)
  const named = [
    ...(options.partition ?? []),
    ...partitionsIn(options.fromOffset),
    ...partitionsIn(options.toOffset),
  ]
  const unknown = named.find((partition) => bounds.every((each) => each.partition !== partition))
  if (unknown !== undefined) {
    throw new EmbudoError('wrong_use', `${topic} has ${bounds.length} partitions, and none is ${unknown}`)
  }
  const froms = options.from === undefined ? options.fromOffset : await appendedAt(log, topic, options.from)
  const tos = options.to === undefined ? options.toOffset : await appendedAt(log, topic, options.to)
  return bounds
    .filter(({ partition }) => options.partition?.includes(partition) ?? true)
    .map(({ partition, start, end }) => {
      const to = Math.min(end, offsetOf(tos, partition, end))
      const from = Math.max(start, Math.min(end, offsetOf(froms, partition, start)))
      return { partition, from, to: Math.max(from, to), start }
    })
}

/** `1042` for all partitions, `0:1042,3:977` for some; the others then have all. */
export const offsets = (text: string): Offsets => {
  if (/^\d{1,15}$/.test(text)) return Number(text)
  const pairs = text.split(',').map((pair) => /^(\d{1,6}):(\d{1,15})$/.exec(pair))
  if (pairs.every((pair) => pair !== null)) {
    return new Map(pairs.map(([, partition, offset]) => [Number(partition), Number(offset)]))
  }
  throw new InvalidArgumentError('expected an offset, or partition:offset,... as 0:1042,3:977')
}

/** What `offsets` reads. */
export const offsetsText = (places: ReadonlyMap<number, number>): string =>
  [...places].map(([partition, offset]) => `${partition}:${offset}`).join(',')

const offsetOf = (given: Offsets | undefined, partition: number, otherwise: number): number =>
  typeof given === 'number' ? given : (given?.get(partition) ?? otherwise)

const partitionsIn = (given: Offsets | undefined): Iterable<number> =>
  given === undefined || typeof given === 'number' ? [] : given.keys()

const appendedAt = async (log: Log, topic: string, time: string): Promise<ReadonlyMap<number, number>> =>
  new Map(
    (await log.offsetsAt(topic, Math.max(0, Date.parse(time)))).map(({ partition, offset }) => [
      partition,
      offset,
    ]),
  )

const both = (one: string, other: string): EmbudoError =>
  new EmbudoError('wrong_use', `${one} and ${other} both say where: give one of them`)
