import type { Pool } from 'pg'

/**
 * Which projection cannot go on by itself, in a sentence: one that is read, or is to be, and cannot be looked after,
 * or a partition of it that has stopped. Undefined where all is well.
 */
export const projectionsConcern = async (pool: Pick<Pool, 'query'>): Promise<string | undefined> => {
  const { rows } = await pool.query<{ place: string; error: string }>(
    `select projection || ' (generation ' || generation || ')' as place, error from embudo.generations
     where error is not null and state in ('live', 'building')
     union all
     select s.reader || ' (generation ' || s.generation || ') in ' || s.topic || ':' || s.partition, s.error
     from embudo.partition_status as s
     left join embudo.generations as g on g.projection = s.reader and g.generation = s.generation
     where s.state = 'failed' and coalesce(g.state, 'live') in ('live', 'building') and not coalesce(g.paused, false)
     order by 1`,
  )
  const [first, ...others] = rows
  if (first === undefined) return undefined
  const more = others.length === 0 ? '' : ` (and ${others.length} more)`
  return `${first.place}: ${first.error}${more}; \`npx embudo projections list\` shows where each stands`
}
