import type { Pool, PoolClient } from 'pg'
import { EmbudoError } from '../define/error.ts'
import { prepared } from '../postgres/prepared.ts'
import { transaction } from '../postgres/transaction.ts'

/** Who reads: a projection's generation, or a saga (generation 1), in one partition. */
export interface PartitionOf {
  readonly reader: string
  readonly generation: number
  readonly topic: string
  readonly partition: number
}

/**
 * Where a reader stands. `nextOffset` is the first offset that is not applied. `epoch` fences: whoever takes a
 * partition over, or writes rows out of band, raises it, and the writer with the older one can commit nothing
 * more. `mark` tells the record before `nextOffset`, so that a topic that was made again or cut is noticed.
 */
export interface Position extends PartitionOf {
  readonly nextOffset: number
  readonly epoch: number
  readonly mark: string
}

/**
 * What became of records: every one that was read is in exactly one of these, but for `markers`, which are offsets
 * that hold no record (the ends of other producers' transactions). Kept beside the position, and moved with it.
 */
export interface Counts {
  readonly applied: number
  /** Read, and of no interest to the reader. */
  readonly ignored: number
  readonly duplicates: number
  /** Parked, whatever is decided about them later; one that is applied in the end is counted there instead. */
  readonly deadLettered: number
  readonly markers: number
}

/** A step forward: where a reader stands after it, and what became of the records it has passed. */
export interface Advance {
  readonly nextOffset: number
  readonly mark: string
  readonly counts: Counts
}

export type Sql = Pick<Pool | PoolClient, 'query'>

/**
 * Takes a partition over: creates the position at the log's start where there is none, raises its epoch and
 * commits that synchronously. Were the epoch lost with Postgres's tail, a second owner would be given the same
 * one, and a fence could not tell the two apart.
 */
export const raiseEpoch = (pool: Pool, of: PartitionOf, startOffset: number): Promise<Position> =>
  transaction(pool, async (client) => {
    const { rows } = await client.query<StoredPosition>(
      `insert into embudo.positions as p (reader, generation, topic, partition, next_offset, origin, epoch, mark)
       values ($1, $2, $3, $4, $5, $5, 1, '')
       on conflict (reader, generation, topic, partition) do update set epoch = p.epoch + 1
       returning next_offset, epoch, mark`,
      [of.reader, of.generation, of.topic, of.partition, startOffset],
    )
    return { ...of, ...fromStored(rows[0]!) }
  })

export const readPositions = async (sql: Sql, reader: string, generation: number): Promise<Position[]> => {
  const { rows } = await sql.query<StoredPosition & { topic: string; partition: number }>(
    `select topic, partition, next_offset, epoch, mark from embudo.positions
     where reader = $1 and generation = $2 order by topic, partition`,
    [reader, generation],
  )
  return rows.map((row) => ({
    reader,
    generation,
    topic: row.topic,
    partition: row.partition,
    ...fromStored(row),
  }))
}

/** A step of one partition, from where its position must still stand. */
export interface Move {
  readonly position: Position
  readonly to: Advance
}

/**
 * Moves positions inside the caller's transaction, and locks them to its end. Throws `position_moved` where somebody
 * else has raised an epoch or moved one: nothing of the transaction may stay.
 */
export const movePositions = async (client: Sql, moves: readonly Move[]): Promise<Position[]> => {
  const { rows } = await client.query<{ nth: number }>(
    prepared(`with ${movedSql('for update of p')} select nth from moved`, movingParameters(moves)),
  )
  const moved = new Set(rows.map(({ nth }) => nth))
  return moves.map(({ position, to }, index) => {
    if (!moved.has(index + 1)) throw positionMoved(position)
    return movedTo(position, to)
  })
}

/**
 * The expressions of a `with` that move positions: `moved` has those that stood where they must, by their number in
 * `movingParameters`, from 1. They are locked first, in that order, so that two such statements never wait for each
 * other. Its parameters are the first 13 of whatever statement it is a part of.
 */
export const movedSql = (lock: 'for update of p' | 'for update of p skip locked'): string => `expected as (
    select m.* from embudo.positions as p
    join unnest($1::text[], $2::integer[], $3::text[], $4::integer[], $5::bigint[], $6::bigint[], $7::bigint[], $8::text[],
      $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[]) with ordinality
      as m (reader, generation, topic, partition, expected_offset, epoch, next_offset, mark,
        applied, ignored, duplicates, dead_lettered, markers, nth)
    on (p.reader, p.generation, p.topic, p.partition, p.next_offset, p.epoch)
      = (m.reader, m.generation, m.topic, m.partition, m.expected_offset, m.epoch)
    order by m.nth ${lock}),
  moved as (
    update embudo.positions as p set next_offset = m.next_offset, mark = m.mark, moved_at = now(),
      applied = p.applied + m.applied, ignored = p.ignored + m.ignored, duplicates = p.duplicates + m.duplicates,
      dead_lettered = p.dead_lettered + m.dead_lettered, markers = p.markers + m.markers
    from expected as m
    where (p.reader, p.generation, p.topic, p.partition) = (m.reader, m.generation, m.topic, m.partition)
    returning p.reader, p.generation, p.topic, p.partition, m.nth::integer)`

export const movingParameters = (moves: readonly Move[]): unknown[] => [
  moves.map(({ position }) => position.reader),
  moves.map(({ position }) => position.generation),
  moves.map(({ position }) => position.topic),
  moves.map(({ position }) => position.partition),
  moves.map(({ position }) => position.nextOffset),
  moves.map(({ position }) => position.epoch),
  moves.map(({ to }) => to.nextOffset),
  moves.map(({ to }) => to.mark),
  moves.map(({ to }) => to.counts.applied),
  moves.map(({ to }) => to.counts.ignored),
  moves.map(({ to }) => to.counts.duplicates),
  moves.map(({ to }) => to.counts.deadLettered),
  moves.map(({ to }) => to.counts.markers),
]

export const movedTo = (position: Position, { nextOffset, mark }: Advance): Position => ({
  ...position,
  nextOffset,
  mark,
})

/**
 * Nothing moves to the end of the caller's transaction: for whoever may have to write rows out of band, and seizes the
 * position where it does. Undefined where nobody has read the partition yet.
 */
export const lockPosition = async (client: Sql, of: PartitionOf): Promise<Position | undefined> => {
  const { rows } = await client.query<StoredPosition>(
    `select next_offset, epoch, mark from embudo.positions
     where reader = $1 and generation = $2 and topic = $3 and partition = $4 for update`,
    [of.reader, of.generation, of.topic, of.partition],
  )
  return positionIn(rows, of)
}

/**
 * For whoever writes rows out of band, inside its transaction, which must commit synchronously: locks the position to
 * the transaction's end and raises its epoch, so that the reader's next write is refused and it starts anew with empty
 * caches. Undefined where nobody has read the partition yet.
 */
export const seizePosition = async (client: Sql, of: PartitionOf): Promise<Position | undefined> => {
  const { rows } = await client.query<StoredPosition>(
    `update embudo.positions set epoch = epoch + 1
     where reader = $1 and generation = $2 and topic = $3 and partition = $4 returning next_offset, epoch, mark`,
    [of.reader, of.generation, of.topic, of.partition],
  )
  return positionIn(rows, of)
}

const positionIn = (
  [row]: readonly StoredPosition[],
  { reader, generation, topic, partition }: PartitionOf,
): Position | undefined =>
  row === undefined ? undefined : { reader, generation, topic, partition, ...fromStored(row) }

export const positionMoved = ({
  reader,
  generation,
  topic,
  partition,
  nextOffset,
  epoch,
}: Position): EmbudoError =>
  new EmbudoError(
    'position_moved',
    `${reader} (generation ${generation}) no longer owns ${topic}:${partition}; it is read again from where it stands`,
    { facts: { reader, generation, topic, partition, nextOffset, epoch }, retriable: true },
  )

interface StoredPosition {
  readonly next_offset: string
  readonly epoch: string
  readonly mark: string
}

const fromStored = (row: StoredPosition) => ({
  nextOffset: Number(row.next_offset),
  epoch: Number(row.epoch),
  mark: row.mark,
})
