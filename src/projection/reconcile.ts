import type { Pool } from 'pg'
import { EmbudoError, messageOf } from '../define/error.ts'
import type { Log, PartitionBounds } from '../log/port.ts'

/**
 * Whether every record of the log has become something in every reader, by figures that are kept apart from each
 * other: what the readers count, where they stand, how far the log reaches, which dead letters there are, and how
 * many rows ClickHouse has.
 */
export interface Reconciliation {
  readonly addsUp: boolean
  /** ISO 8601, in UTC. */
  readonly asOf: string
  /** Why ClickHouse was not counted; null where it was, or where nothing is there. */
  readonly notCounted: string | null
  readonly items: readonly ReconciledPartition[]
}

/** One reader's generation in one partition. All figures are records (offsets), unless they say otherwise. */
export interface ReconciledPartition {
  /** `lead_profile`, or `saga:enrollment` */
  readonly projection: string
  readonly kind: ReaderKind
  readonly generation: number
  readonly state: GenerationState
  readonly topic: string
  readonly partition: number
  /** In the log now. */
  readonly appended: number
  /** Passed by the reader since it began to count. */
  readonly read: number
  readonly applied: number
  readonly notOfInterest: number
  readonly duplicates: number
  /** Parked and not applied since: they wait, or were discarded. */
  readonly deadLettered: number
  /** Offsets that hold no record: the ends of other producers' transactions. */
  readonly markers: number
  /** In the log, and not read yet. */
  readonly pending: number
  /** Read, and nothing became of them; negative where more became of them than was read. 0 if all is well. */
  readonly holes: number
  /** Offsets before the first one that it counted: the log had lost them by then, or it did not count yet. */
  readonly uncounted: number
  /** Rows in ClickHouse up to the position, and the distinct offsets in them; null where none are kept there. */
  readonly stored: StoredCount | null
  readonly mismatches: readonly Mismatch[]
}

export type ReaderKind = 'read model' | 'tally' | 'event tables' | 'saga'
export type GenerationState = 'live' | 'building' | 'previous'

/** Something that does not add up. */
export interface Mismatch {
  readonly code:
    | 'records_unaccounted'
    | 'records_counted_twice'
    | 'dead_letters_differ'
    | 'log_beginning_lost'
    | 'log_end_lost'
    | 'rows_missing'
    | 'rows_doubled'
    | 'rows_unexpected'
  readonly records: number
  readonly detail: string
}

export interface StoredCount {
  readonly rows: number
  readonly offsets: number
}

/** Who reads which topics. */
export interface Reader {
  readonly name: string
  readonly kind: ReaderKind
  /** As the broker names them. */
  readonly topics: readonly string[]
}

/** Offsets of one partition, `to` not among them. */
export interface OffsetRange {
  readonly topic: string
  readonly partition: number
  readonly from: number
  readonly to: number
}

/** What the tables of one generation hold of each range, in the order of the ranges. */
export type CountStored = (
  generation: number,
  ranges: readonly OffsetRange[],
  signal?: AbortSignal,
) => Promise<StoredCount[]>

export interface ReconcileParts {
  readonly pool: Pick<Pool, 'query'>
  readonly log: Pick<Log, 'bounds'>
  readonly readers: readonly Reader[]
  readonly now: () => Date
  /** Left out where only Postgres and the log are to be asked. */
  readonly countStored?: CountStored | undefined
  /** Ends the counting. */
  readonly signal?: AbortSignal
}

export interface ReconcileFilter {
  readonly topic?: string | undefined
  readonly projection?: string | undefined
}

/**
 * Holds while everything is being written: the positions are read first, with all that was counted and parked, in
 * one snapshot; then the log's ends, which only grow; then ClickHouse's rows below the positions, which were there
 * before the positions moved past them. Throws `unknown_projection`, `unknown_topic`.
 */
export const reconcile = async (
  parts: ReconcileParts,
  filter: ReconcileFilter = {},
): Promise<Reconciliation> => {
  const readers = chosen(parts.readers, filter)
  const asOf = parts.now().toISOString()
  const counted = await countedPositions(parts.pool)
  const topics = [...new Set(readers.flatMap((reader) => reader.topics))]
  const bounds = new Map(
    await Promise.all(topics.map(async (topic) => [topic, await parts.log.bounds(topic)] as const)),
  )
  const found = readers.flatMap((reader) => partitionsOf(reader, counted, bounds))
  const { stored, notCounted } = await countRows(found, parts)
  const items = found.map((facts) => reconcilePartition({ ...facts, stored: stored.get(facts) ?? null }))
  return { addsUp: items.every(({ mismatches }) => mismatches.length === 0), asOf, notCounted, items }
}

/** What was found of one reader's generation in one partition. */
export interface PartitionFacts {
  readonly reader: Pick<Reader, 'name' | 'kind'>
  readonly generation: number
  readonly state: GenerationState
  readonly topic: string
  readonly bounds: PartitionBounds
  readonly origin: number
  readonly nextOffset: number
  readonly applied: number
  readonly ignored: number
  readonly duplicates: number
  readonly deadLettered: number
  readonly markers: number
  readonly letters: LetterCounts
  readonly stored: StoredCount | null
}

interface LetterCounts {
  /** Not applied: they wait, or were discarded. */
  readonly parked: number
  /** Of these, the ones that may be applied at any moment. */
  readonly waiting: number
}

export const reconcilePartition = (facts: PartitionFacts): ReconciledPartition => {
  const { reader, generation, state, topic, bounds, origin, nextOffset, stored } = facts
  const { applied, ignored: notOfInterest, duplicates, deadLettered, markers } = facts
  const read = nextOffset - origin
  const holes = read - (applied + notOfInterest + duplicates + deadLettered + markers)
  return {
    projection: reader.name,
    kind: reader.kind,
    ...{ generation, state, topic, partition: bounds.partition },
    appended: bounds.end - bounds.start,
    ...{ read, applied, notOfInterest, duplicates, deadLettered, markers },
    pending: Math.max(0, bounds.end - Math.max(nextOffset, bounds.start)),
    holes,
    uncounted: origin,
    stored,
    mismatches: [...countMismatches(facts, holes), ...storedMismatches(facts)],
  }
}

const countMismatches = (
  { bounds: { start, end }, nextOffset, deadLettered, letters }: PartitionFacts,
  holes: number,
): Mismatch[] => {
  const found: Mismatch[] = []
  const tell = (records: number, code: Mismatch['code'], detail: string): void => {
    if (records > 0) found.push({ code, records, detail })
  }
  tell(
    start - nextOffset,
    'log_beginning_lost',
    `the log begins at ${start}: ${nextOffset} to ${start - 1} were deleted before they were read`,
  )
  tell(
    nextOffset - end,
    'log_end_lost',
    `the log ends at ${end}, and everything before ${nextOffset} was read: it was cut, or made again`,
  )
  tell(
    holes,
    'records_unaccounted',
    `of ${records(holes)} that ${were(holes)} read, nothing tells what became`,
  )
  tell(-holes, 'records_counted_twice', `${records(-holes)} more ${were(-holes)} counted than were read`)
  tell(
    Math.abs(deadLettered - letters.parked),
    'dead_letters_differ',
    `${records(deadLettered)} ${were(deadLettered)} parked, and ${letters.parked} dead letters are there`,
  )
  return found
}

const storedMismatches = ({ stored, applied, letters }: PartitionFacts): Mismatch[] => {
  if (stored === null) return []
  const found: Mismatch[] = []
  const { rows, offsets } = stored
  if (rows > offsets) {
    const detail = `ClickHouse has ${rows} rows of ${offsets} records`
    found.push({ code: 'rows_doubled', records: rows - offsets, detail })
  }
  if (offsets < applied) {
    const detail = `${records(applied)} ${were(applied)} applied, and ClickHouse has ${offsets} of them`
    found.push({ code: 'rows_missing', records: applied - offsets, detail })
  }
  // A dead letter that is applied after all is a row before it is counted.
  if (offsets > applied + letters.waiting) {
    const detail = `${records(applied)} ${were(applied)} applied, and ClickHouse has rows of ${offsets}`
    found.push({ code: 'rows_unexpected', records: offsets - applied, detail })
  }
  return found
}

const records = (count: number): string => `${count} record${count === 1 ? '' : 's'}`
const were = (count: number): string => (count === 1 ? 'was' : 'were')

const chosen = (readers: readonly Reader[], { topic, projection }: ReconcileFilter): Reader[] => {
  const named = readers.filter(({ name }) => projection === undefined || name === projection)
  if (named.length === 0 && projection !== undefined) {
    const known = readers.map(({ name }) => name).join(', ')
    throw new EmbudoError('unknown_projection', `there is no projection ${projection}; there are ${known}`)
  }
  if (topic !== undefined && !readers.some(({ topics }) => topics.includes(topic))) {
    const known = [...new Set(readers.flatMap(({ topics }) => topics))].join(', ')
    throw new EmbudoError('unknown_topic', `nobody reads a topic ${topic}; there are ${known}`)
  }
  return named.map((reader) => ({
    ...reader,
    topics: reader.topics.filter((name) => topic === undefined || name === topic),
  }))
}

type CountedPosition = Omit<PartitionFacts, 'reader' | 'bounds' | 'stored'> & {
  readonly name: string
  readonly partition: number
}

/** One statement, so that all of it is of one moment. */
const countedPositions = async (pool: ReconcileParts['pool']): Promise<CountedPosition[]> => {
  const { rows } = await pool.query<Record<string, string | number | null>>(
    `select coalesce(p.reader, g.projection) as name, coalesce(p.generation, g.generation) as generation,
       coalesce(g.state, 'live') as state, p.topic, p.partition, p.origin, p.next_offset, p.applied, p.ignored,
       p.duplicates, p.dead_lettered, p.markers, coalesce(d.parked, 0) as parked, coalesce(d.waiting, 0) as waiting
     from embudo.positions p
     full join embudo.generations g on g.projection = p.reader and g.generation = p.generation
     left join (
       select reader, generation, topic, partition, count(*) filter (where state <> 'applied') as parked,
         count(*) filter (where state not in ('applied', 'discarded')) as waiting
       from embudo.dead_letters group by reader, generation, topic, partition
     ) d on d.reader = p.reader and d.generation = p.generation and d.topic = p.topic and d.partition = p.partition
     where coalesce(g.state, 'live') <> 'retired'`,
  )
  return rows.map((row) => ({
    name: String(row.name),
    generation: Number(row.generation),
    state: String(row.state) as GenerationState,
    topic: String(row.topic),
    partition: Number(row.partition),
    origin: Number(row.origin),
    nextOffset: Number(row.next_offset),
    applied: Number(row.applied),
    ignored: Number(row.ignored),
    duplicates: Number(row.duplicates),
    deadLettered: Number(row.dead_lettered),
    markers: Number(row.markers),
    letters: { parked: Number(row.parked), waiting: Number(row.waiting) },
  }))
}

/** Every partition of every generation of a reader; where it has not begun, everything is pending. */
const partitionsOf = (
  reader: Reader,
  counted: readonly CountedPosition[],
  bounds: ReadonlyMap<string, readonly PartitionBounds[]>,
): PartitionFacts[] => {
  const mine = counted.filter(({ name }) => name === reader.name)
  const generations = new Map(mine.map(({ generation, state }) => [generation, state]))
  if (generations.size === 0) generations.set(1, 'live')
  const places = reader.topics.flatMap((topic) =>
    (bounds.get(topic) ?? []).map((ofPartition) => ({ topic, bounds: ofPartition })),
  )
  return [...generations].flatMap(([generation, state]) =>
    places.map((place) => {
      const position = mine.find(
        (each) =>
          each.generation === generation &&
          each.topic === place.topic &&
          each.partition === place.bounds.partition,
      )
      return { ...(position ?? notBegun(place.bounds)), generation, state, reader, ...place, stored: null }
    }),
  )
}

const notBegun = ({ start }: PartitionBounds) => ({
  origin: start,
  nextOffset: start,
  ...{ applied: 0, ignored: 0, duplicates: 0, deadLettered: 0, markers: 0 },
  letters: { parked: 0, waiting: 0 },
})

/** Asked last: what is below a position was there before the position moved. */
const countRows = async (
  found: readonly PartitionFacts[],
  { countStored, signal }: ReconcileParts,
): Promise<{ stored: Map<PartitionFacts, StoredCount>; notCounted: string | null }> => {
  const stored = new Map<PartitionFacts, StoredCount>()
  const inTables = found.filter(({ reader }) => reader.kind === 'event tables')
  if (countStored === undefined || inTables.length === 0) return { stored, notCounted: null }
  try {
    for (const [generation, facts] of Map.groupBy(inTables, (each) => each.generation)) {
      const ranges = facts.map(({ topic, bounds: { partition }, origin, nextOffset }) => ({
        ...{ topic, partition, from: origin, to: nextOffset },
      }))
      const counts = await countStored(generation, ranges, signal)
      for (const [index, each] of facts.entries()) stored.set(each, counts[index]!)
    }
    return { stored, notCounted: null }
  } catch (error) {
    return { stored: new Map(), notCounted: messageOf(error) }
  }
}
