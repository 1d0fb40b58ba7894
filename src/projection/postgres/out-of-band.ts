import type { PartitionOf, Position, Sql } from '../../consumer/positions.ts'

/**
 * Whoever writes a projection's rows beside the projector holds the lock on the position for as long as its
 * transaction lasts: nothing moves meanwhile. Undefined where nobody has ever read the partition.
 */
export const lockPosition = async (sql: Sql, of: PartitionOf): Promise<Position | undefined> => {
  const { rows } = await sql.query<{ next_offset: string; epoch: string; mark: string }>(
    `select next_offset, epoch, mark from embudo.positions
     where reader = $1 and generation = $2 and topic = $3 and partition = $4 for update`,
    [of.reader, of.generation, of.topic, of.partition],
  )
  const [row] = rows
  if (row === undefined) return undefined
  const { reader, generation, topic, partition } = of
  return {
    ...{ reader, generation, topic, partition },
    nextOffset: Number(row.next_offset),
    epoch: Number(row.epoch),
    mark: row.mark,
  }
}

/**
 * What the projector remembers of the rows is no longer so: its next write is refused, and it takes the partition
 * over again. In the transaction that holds the lock and writes the rows, committed synchronously.
 */
export const emptyCaches = async (sql: Sql, of: PartitionOf): Promise<void> => {
  await sql.query(
    `update embudo.positions set epoch = epoch + 1
     where reader = $1 and generation = $2 and topic = $3 and partition = $4`,
    [of.reader, of.generation, of.topic, of.partition],
  )
}
