import { EmbudoError } from '../define/error.ts'
import type { Sql } from './positions.ts'

export interface TopicConstants {
  /** The broker's name. */
  readonly name: string
  readonly duplicatesWithin: number
}

/**
 * Throws `topic_constant_changed` where a topic was first read with another number: what was dropped as a
 * duplicate till then, and what a rebuild would drop, would no longer be the same.
 */
export const keepTopicConstants = async (sql: Sql, topics: readonly TopicConstants[]): Promise<void> => {
  await sql.query(
    `insert into embudo.topics (topic, duplicates_within) select * from unnest($1::text[], $2::integer[]) order by 1
     on conflict do nothing`,
    [topics.map(({ name }) => name), topics.map((topic) => topic.duplicatesWithin)],
  )
  const { rows } = await sql.query<{ topic: string; duplicates_within: number }>(
    'select topic, duplicates_within from embudo.topics where topic = any($1)',
    [topics.map(({ name }) => name)],
  )
  const kept = new Map(rows.map((row) => [row.topic, row.duplicates_within]))
  for (const { name, duplicatesWithin } of topics) {
    const first = kept.get(name)
    if (first === duplicatesWithin) continue
    throw new EmbudoError(
      'topic_constant_changed',
      `${name} is read with duplicates dropped within ${first} records, and its definition now says ${duplicatesWithin}: set duplicatesWithin back in its topic.ts, or move to a new topic`,
      { facts: { topic: name, first, duplicatesWithin } },
    )
  }
}
