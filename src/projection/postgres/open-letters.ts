import type { PartitionOf, Sql } from '../../consumer/positions.ts'
import type { PostgresProjection } from '../definition.ts'

/**
 * What waits in the dead letters: of a read model the first offset of each subject that does, since later events of it
 * wait behind; of a tally each record by itself, by its offset.
 */
export const openLetters = async (
  sql: Sql,
  { kind }: PostgresProjection,
  { reader, generation, topic, partition }: PartitionOf,
): Promise<Map<string, number>> => {
  const { rows } = await sql.query<{ waiting: string; first: string }>(
    `select case when $5 then "offset"::text else subject end as waiting, min("offset") as first
     from embudo.dead_letters
     where reader = $1 and generation = $2 and topic = $3 and partition = $4
       and state in ('open', 'deciding', 'retrying')
     group by waiting`,
    [reader, generation, topic, partition, kind === 'tally'],
  )
  return new Map(rows.map(({ waiting, first }) => [waiting, Number(first)]))
}
