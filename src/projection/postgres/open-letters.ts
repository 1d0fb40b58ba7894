import type { PartitionOf, Sql } from '../../consumer/positions.ts'

/** Where each subject that has dead letters waits: the offset of its first open one. */
export const openLetters = async (
  sql: Sql,
  { reader, generation, topic, partition }: PartitionOf,
): Promise<Map<string, number>> => {
  const { rows } = await sql.query<{ subject: string; first: string }>(
    `select subject, min("offset") as first from embudo.dead_letters
     where reader = $1 and generation = $2 and topic = $3 and partition = $4 and state in ('open', 'retrying')
     group by subject`,
    [reader, generation, topic, partition],
  )
  return new Map(rows.map(({ subject, first }) => [subject, Number(first)]))
}
