import type { Pool } from 'pg'
import type { ParkedRecord } from '../dead-letter/decide.ts'
import { EmbudoError } from '../define/error.ts'
import type { Projection } from './definition.ts'
import { type RepairRowsParts, repairRows } from './postgres/repair-rows.ts'

type Decided = Omit<ParkedRecord, 'generation'>

/**
 * A generation may have applied what another one has parked: its fold was mended, or it could be retried. What is
 * decided about the record afterwards is brought into such rows by folding the subject again. Throws `not_mended`.
 */
export const mendDecided =
  (parts: Omit<RepairRowsParts, 'progress'> & { readonly projections: readonly Projection[] }) =>
  async (decided: Decided): Promise<void> => {
    const projection = parts.projections.find(({ name }) => name === decided.reader)
    // Rows of ClickHouse are never taken back: see `mayDecide`.
    if (projection === undefined || projection.kind === 'event tables') return
    const subjects = new Set([decided.subject])
    const progress = { begin: () => {}, advance: () => {} }
    for (const { generation, version } of await appliedIn(parts.pool, decided)) {
      if (version !== projection.version) continue
      const of = { ...decided, generation }
      // Who has no event left has no row: it was made of this one.
      const { failed } = await repairRows(projection, of, subjects, true, { ...parts, progress })
      const [first] = failed.values()
      if (first === undefined) continue
      throw new EmbudoError(
        'not_mended',
        `generation ${generation} of ${projection.name} cannot fold ${decided.subject} as it was decided`,
        { facts: { projection: projection.name, generation, subject: decided.subject }, cause: first },
      )
    }
  }

/**
 * Nothing can be decided in ClickHouse about a record that is a row in another generation already: it would stay there,
 * and later generations would lack it. Throws `letter_applied_elsewhere`.
 */
export const mayDecide =
  ({ pool, projections }: { readonly pool: Pool; readonly projections: readonly Projection[] }) =>
  async (decided: Decided): Promise<void> => {
    const projection = projections.find(({ name }) => name === decided.reader)
    if (projection?.kind !== 'event tables') return
    const [first] = await appliedIn(pool, decided)
    if (first === undefined) return
    throw new EmbudoError(
      'letter_applied_elsewhere',
      `generation ${first.generation} of ${projection.name} has the record as a row, and rows of ClickHouse stay: retry the letter, or let it go with its generation`,
      { facts: { projection: projection.name, generation: first.generation } },
    )
  }

/** The generations that have gone past a record and applied it as it was, undecided. */
const appliedIn = async (
  pool: Pool,
  { reader, topic, partition, offset }: Decided,
): Promise<readonly { readonly generation: number; readonly version: number }[]> => {
  const { rows } = await pool.query<{ generation: number; version: number }>(
    `select g.generation, g.version from embudo.generations as g
     join embudo.positions as p on p.reader = g.projection and p.generation = g.generation
     where g.projection = $1 and p.topic = $2 and p.partition = $3 and p.next_offset > $4 and g.state <> 'retired'
       and not exists (
         select from embudo.dead_letters as d
         where d.reader = g.projection and d.generation = g.generation and d.topic = $2 and d.partition = $3
           and d."offset" = $4 and (d.state <> 'applied' or d.decision is not null))
     order by g.generation`,
    [reader, topic, partition, offset],
  )
  return rows
}
