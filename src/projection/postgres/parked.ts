import type { PartitionOf, Sql } from '../../consumer/positions.ts'

/** Subjects of a partition that have records in the dead letters which are not settled. */
export const parkedSubjects = async (
  sql: Sql,
  { reader, generation, topic, partition }: PartitionOf,
): Promise<Set<string>> => {
  const { rows } = await sql.query<{ subject: string }>(
    `select distinct subject from embudo.dead_letters
     where reader = $1 and generation = $2 and topic = $3 and partition = $4 and state in ('open', 'deciding', 'retrying')`,
    [reader, generation, topic, partition],
  )
  return new Set(rows.map((row) => row.subject))
}
