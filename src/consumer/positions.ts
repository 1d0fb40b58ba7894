import type { Pool, PoolClient } from 'pg'
import { EmbudoError } from '../define/error.ts'
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

export type Sql = Pick<Pool | PoolClient, 'query'>

/**
 * Takes a partition over: creates the position at the log's start where there is none, raises its epoch and
 * commits that synchronously. Were the epoch lost with Postgres's tail, a second owner would be given the same
 * one, and a fence could not tell the two apart.
 */
export const raiseEpoch = (pool: Pool, of: PartitionOf, startOffset: number): Promise<Position> =>
  transaction(pool, async (client) => {
    const { rows } = await client.query<StoredPosition>(
      `insert into embudo.positions as p (reader, generation, topic, partition, next_offset, epoch, mark)
       values ($1, $2, $3, $4, $5, 1, '')
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

/**
 * Moves a position inside the caller's transaction, and locks it to the transaction's end. Throws
 * `position_moved` where somebody else has raised the epoch or moved it: nothing of the transaction may stay.
 */
export const movePosition = async (
  client: Sql,
  position: Position,
  to: { readonly nextOffset: number; readonly mark: string },
): Promise<Position> => {
  const { rowCount } = await client.query(
    `update embudo.positions set next_offset = $1, mark = $2, moved_at = now()
     where reader = $3 and generation = $4 and topic = $5 and partition = $6 and next_offset = $7 and epoch = $8`,
    [
      to.nextOffset,
      to.mark,
      position.reader,
      position.generation,
      position.topic,
      position.partition,
      position.nextOffset,
      position.epoch,
    ],
  )
  if (rowCount !== 1) throw positionMoved(position)
  return { ...position, ...to }
}

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
