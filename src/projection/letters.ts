import type { Pool } from 'pg'
import { type PartitionOf, seizePosition } from '../consumer/positions.ts'
import { awaitsDecision, type Corrections } from '../dead-letter/correction.ts'
import type { ParkedRecord, Released } from '../dead-letter/decide.ts'
import type { Codec } from '../log/codec.ts'
import { transaction } from '../postgres/transaction.ts'
import type { Projection } from './definition.ts'
import { release } from './postgres/release.ts'
import { tableOf } from './postgres/table.ts'

export interface LetterReleaseParts {
  readonly pool: Pool
  readonly codec: Codec
  readonly corrections: Corrections
  readonly projections: readonly Projection[]
}

/**
 * Applies what is parked, in whatever the projection writes to. A generation of another version than the code's is left
 * alone: its fold is not here.
 */
export const letterRelease =
  (parts: LetterReleaseParts) =>
  async (parked: ParkedRecord): Promise<Released> => {
    const projection = parts.projections.find(({ name }) => name === parked.reader)
    if (projection === undefined || !(await isOfVersion(parts.pool, parked, projection.version)))
      return 'foreign'
    if (projection.kind === 'event tables') await askForRow(parked, parts)
    else await release(projection, tableOf(projection, parked.generation), parked, parts)
    return 'tried'
  }

const isOfVersion = async (
  pool: Pool,
  { reader, generation }: PartitionOf,
  version: number,
): Promise<boolean> => {
  const { rows } = await pool.query<{ version: number }>(
    'select version from embudo.generations where projection = $1 and generation = $2',
    [reader, generation],
  )
  return rows[0] === undefined || rows[0].version === version
}

/** Rows of ClickHouse are written by the sink alone: with the raised epoch it takes the partition anew, and looks. */
const askForRow = (parked: ParkedRecord, { pool, corrections }: LetterReleaseParts): Promise<void> =>
  transaction(pool, async (client) => {
    const { reader, generation, topic, partition, offset } = parked
    await seizePosition(client, parked)
    const { rows } = await client.query<{ id: string; state: string; decision: string | null }>(
      `select id, state, decision from embudo.dead_letters
       where reader = $1 and generation = $2 and topic = $3 and partition = $4 and "offset" = $5
         and state in ('open', 'deciding') for update`,
      [reader, generation, topic, partition, offset],
    )
    const correction = corrections.of(reader, topic, partition, offset)
    const [letter] = rows
    if (letter === undefined || awaitsDecision(letter, correction)) return
    await client.query(
      `update embudo.dead_letters set state = $2, edited = $3,
         settled_at = case when $2 = 'discarded' then now() end
       where id = $1`,
      [
        letter.id,
        correction?.decision === 'discarded' ? 'discarded' : 'retrying',
        correction?.decision === 'edited' ? correction.value : null,
      ],
    )
  })
