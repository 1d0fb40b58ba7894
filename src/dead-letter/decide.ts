import type { Pool } from 'pg'
import type { PartitionOf } from '../consumer/positions.ts'
import { EmbudoError } from '../define/error.ts'
import { transaction } from '../postgres/transaction.ts'
import type { Correction } from './correction.ts'
import { placeOf } from './corrections.ts'
import { type DeadLetter, type LetterState, showLetter, type WholeLetter } from './list.ts'

/** Where a parked record stands, in one generation of a projection. */
export interface ParkedRecord extends PartitionOf {
  readonly offset: number
  readonly subject: string
}

export interface DecisionParts {
  readonly pool: Pool
  /** Of the topics' names. */
  readonly prefix: string
  readonly newId: () => string
  /** Resolves when the log has the decision. */
  readonly append: (decision: Decision) => Promise<void>
  /** Makes a decision known in this process before its own reading of the log brings it. */
  readonly learn: (reader: string, of: ParkedRecord, correction: Correction) => void
  /** Applies what is parked of the subject as far as it goes, in the generation that is named. */
  readonly release: (parked: ParkedRecord) => Promise<void>
  /** Framed bytes of the event's current schema. Throws `invalid_event` and the like. */
  readonly encode: (letter: WholeLetter, edit: Edit) => Buffer | Promise<Buffer>
}

/** An event of the topic of corrections. */
export interface Decision {
  readonly type: 'event_edited' | 'event_discarded'
  readonly id: string
  readonly data: {
    readonly place: string
    readonly projection: string
    readonly value?: string
    readonly reason: string | null
  }
}

export interface Edit {
  /** Needed where the record's own does not tell. */
  readonly type?: string | undefined
  readonly data: Readonly<Record<string, unknown>>
}

export interface LetterDecisions {
  /** Tries what is parked of the letter's subject again, as it is. */
  retry(id: string): Promise<DeadLetter>
  edit(id: string, edit: Edit, reason?: string): Promise<DeadLetter>
  discard(id: string, reason?: string): Promise<DeadLetter>
}

/**
 * What operators decide. A decision is an event: it is in the log before anything comes of it, so that a rebuild comes
 * to the same state. While one is on its way no other can be made (state `deciding`), and none once the letter is
 * settled: so the last one in the log is the one that stands. All throw `not_found`, and `letter_settled`.
 */
export const letterDecisions = (parts: DecisionParts): LetterDecisions => {
  const { pool } = parts

  const decide = async (
    letter: DeadLetter,
    correction: Correction,
    reason: string | undefined,
  ): Promise<DeadLetter> => {
    await claim(pool, letter)
    const place = placeOf(parts.prefix, letter.topic, letter.partition, letter.offset)
    const isDiscarded = correction.decision === 'discarded'
    try {
      await parts.append({
        type: isDiscarded ? 'event_discarded' : 'event_edited',
        id: parts.newId(),
        data: {
          ...{ place, projection: letter.projection, reason: reason ?? null },
          ...(isDiscarded ? {} : { value: correction.value.toString('base64') }),
        },
      })
      parts.learn(letter.projection, parkedOf(letter), correction)
      await releaseEverywhere(parts, letter)
    } finally {
      await unclaim(pool, letter)
    }
    return await showLetter(pool, letter.id)
  }

  return {
    async retry(id) {
      const letter = await unsettledLetter(pool, id)
      await releaseEverywhere(parts, letter)
      return await showLetter(pool, id)
    },
    async edit(id, edit, reason) {
      const letter = await unsettledLetter(pool, id)
      return await decide(letter, { decision: 'edited', value: await parts.encode(letter, edit) }, reason)
    },
    async discard(id, reason) {
      return await decide(await unsettledLetter(pool, id), { decision: 'discarded' }, reason)
    },
  }
}

/** In every generation that has the record parked: what is decided holds for the projection. */
export const releaseEverywhere = async (
  { pool, release }: Pick<DecisionParts, 'pool' | 'release'>,
  letter: DeadLetter,
): Promise<void> => {
  const { rows } = await pool.query<{ generation: number }>(
    `select generation from embudo.dead_letters
     where reader = $1 and topic = $2 and partition = $3 and "offset" = $4 and state in ('open', 'deciding')
     order by generation`,
    [letter.projection, letter.topic, letter.partition, letter.offset],
  )
  for (const { generation } of rows) await release({ ...parkedOf(letter), generation })
}

const parkedOf = ({
  projection,
  generation,
  topic,
  partition,
  offset,
  subject,
}: DeadLetter): ParkedRecord => ({
  ...{ reader: projection, generation, topic, partition, offset, subject },
})

const unsettledLetter = async (pool: Pool, id: string): Promise<WholeLetter> => {
  const letter = await showLetter(pool, id)
  if (letter.state === 'applied' || letter.state === 'discarded') throw settled(letter)
  return letter
}

/** In all generations at once: a record is decided about once, whichever of its letters was looked at. */
const claim = (pool: Pool, letter: DeadLetter): Promise<void> =>
  transaction(pool, async (client) => {
    const { rows } = await client.query<{ id: string; state: LetterState }>(
      `select id, state from embudo.dead_letters
       where reader = $1 and topic = $2 and partition = $3 and "offset" = $4 order by id for update`,
      placeParameters(letter),
    )
    const mine = rows.find(({ id }) => id === letter.id)
    if (mine?.state !== 'open' || rows.some(({ state }) => state === 'deciding')) {
      throw settled({ ...letter, state: mine?.state ?? letter.state })
    }
    await client.query(
      `update embudo.dead_letters set state = 'deciding', decided_at = now()
       where reader = $1 and topic = $2 and partition = $3 and "offset" = $4 and state = 'open'`,
      placeParameters(letter),
    )
  })

/** One that is still not applied waits for the next decision, and for what stands before it. */
const unclaim = async (pool: Pool, letter: DeadLetter): Promise<void> => {
  await pool.query(
    `update embudo.dead_letters set state = 'open'
     where reader = $1 and topic = $2 and partition = $3 and "offset" = $4 and state = 'deciding'`,
    placeParameters(letter),
  )
}

const placeParameters = ({ projection, topic, partition, offset }: DeadLetter): unknown[] => [
  projection,
  topic,
  partition,
  offset,
]

const settled = ({ id, state }: DeadLetter): EmbudoError =>
  new EmbudoError(
    'letter_settled',
    `dead letter ${id} is ${state === 'open' ? 'being decided about' : state}`,
    {
      facts: { id, state },
    },
  )
