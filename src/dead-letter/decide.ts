import type { Pool } from 'pg'
import type { PartitionOf } from '../consumer/positions.ts'
import { EmbudoError } from '../define/error.ts'
import { transaction } from '../postgres/transaction.ts'
import type { Correction, Decided } from './correction.ts'
import { placeOf } from './corrections.ts'
import { type DeadLetter, type LetterState, showLetter, type WholeLetter } from './list.ts'

/** Where a parked record stands, in one generation of a projection. */
export interface ParkedRecord extends PartitionOf {
  readonly offset: number
  readonly subject: string
}

/** `foreign`: this code does not have the projection, or has another version of it, and nothing was done. */
export type Released = 'tried' | 'foreign'

export interface DecisionParts {
  readonly pool: Pool
  /** Of the topics' names. */
  readonly prefix: string
  readonly newId: () => string
  /** Resolves when the log has the decision. Where it rejects, the log may have it all the same: see `isRefused`. */
  readonly append: (decision: Decision) => Promise<void>
  /** Makes a decision known in this process before its own reading of the log brings it. */
  readonly learn: (reader: string, of: ParkedRecord, correction: Correction) => void
  /** Resolves when this process knows every decision that the log has. */
  readonly upToDate: () => Promise<void>
  /** Throws where a decision could not reach every generation. */
  readonly mayDecide: (of: Omit<ParkedRecord, 'generation'>) => Promise<void>
  /** Applies what is parked of the subject as far as it goes, in the generation that is named. */
  readonly release: (parked: ParkedRecord) => Promise<Released>
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
 * settled: so the last one in the log is the one that stands. Where nobody can tell whether the log has it, the letter
 * stays `deciding` until the topic was read to its end (see settle.ts). All throw `not_found`, and `letter_settled`.
 */
export const letterDecisions = (parts: DecisionParts): LetterDecisions => {
  const { pool } = parts

  const decide = async (
    letter: DeadLetter,
    decided: Decided,
    reason: string | undefined,
  ): Promise<DeadLetter> => {
    await parts.mayDecide(parkedOf(letter))
    const id = parts.newId()
    const before = await claim(pool, letter, id)
    const place = placeOf(parts.prefix, letter.topic, letter.partition, letter.offset)
    const isDiscarded = decided.decision === 'discarded'
    try {
      await parts.append({
        type: isDiscarded ? 'event_discarded' : 'event_edited',
        id,
        data: {
          ...{ place, projection: letter.projection, reason: reason ?? null },
          ...(isDiscarded ? {} : { value: decided.value.toString('base64') }),
        },
      })
    } catch (error) {
      if (isRefused(error)) await unclaim(pool, before, id)
      throw error
    }
    parts.learn(letter.projection, parkedOf(letter), { ...decided, id })
    try {
      await releaseEverywhere(parts, letter)
    } finally {
      await endDeciding(pool, letter, id)
    }
    return await showLetter(pool, letter.id)
  }

  return {
    async retry(id) {
      const letter = await unsettledLetter(pool, id)
      if (letter.state === 'deciding') throw settled(letter)
      await parts.upToDate()
      const released = await releaseEverywhere(parts, letter)
      if (released.get(letter.generation) === 'foreign') throw foreign(letter)
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
const releaseEverywhere = async (
  { pool, release }: Pick<DecisionParts, 'pool' | 'release'>,
  letter: DeadLetter,
): Promise<ReadonlyMap<number, Released>> => {
  const { rows } = await pool.query<{ generation: number }>(
    `select generation from embudo.dead_letters
     where reader = $1 and topic = $2 and partition = $3 and "offset" = $4 and state in ('open', 'deciding')
     order by generation`,
    placeParameters(letter),
  )
  const released = new Map<number, Released>()
  for (const { generation } of rows)
    released.set(generation, await release({ ...parkedOf(letter), generation }))
  return released
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

/** As the letters of a record were before a decision was on its way. */
type Claimed = readonly {
  readonly id: string
  readonly decision: string | null
  readonly decided: string | null
}[]

/** In all generations at once: a record is decided about once, whichever of its letters was looked at. */
const claim = (pool: Pool, letter: DeadLetter, decision: string): Promise<Claimed> =>
  transaction(pool, async (client) => {
    const { rows } = await client.query<Claimed[number] & { state: LetterState }>(
      `select id, state, decision, decided_at::text as decided from embudo.dead_letters
       where reader = $1 and topic = $2 and partition = $3 and "offset" = $4 order by id for update`,
      placeParameters(letter),
    )
    const mine = rows.find(({ id }) => id === letter.id)
    if (mine?.state !== 'open' || rows.some(({ state }) => state === 'deciding' || state === 'retrying')) {
      throw settled({ ...letter, state: mine?.state ?? letter.state })
    }
    const open = rows.filter(({ state }) => state === 'open')
    await client.query(
      `update embudo.dead_letters
       set state = 'deciding', decided_at = now(), decision = $2, everywhere_at = null
       where id = any($1::bigint[])`,
      [open.map(({ id }) => id), decision],
    )
    return open
  })

/** The log does not have it: the letters are what they were. */
const unclaim = async (pool: Pool, claimed: Claimed, decision: string): Promise<void> => {
  await pool.query(
    `update embudo.dead_letters as letter
     set state = 'open', decision = before.decision, decided_at = before.decided
     from unnest($1::bigint[], $2::text[], $3::timestamptz[]) as before (id, decision, decided)
     where letter.id = before.id and letter.decision = $4 and letter.state = 'deciding'`,
    [
      claimed.map(({ id }) => id),
      claimed.map((each) => each.decision),
      claimed.map(({ decided }) => decided),
      decision,
    ],
  )
}

/** The log has it. A letter that is still not applied waits for the next decision, and for what stands before it. */
const endDeciding = async (pool: Pool, letter: DeadLetter, decision: string): Promise<void> => {
  await pool.query(
    `update embudo.dead_letters set state = 'open'
     where reader = $1 and topic = $2 and partition = $3 and "offset" = $4 and state = 'deciding' and decision = $5`,
    [...placeParameters(letter), decision],
  )
}

/** Whether the log certainly has nothing of what was sent: a time that ran out, or a lost connection, does not tell. */
const isRefused = (error: unknown): boolean =>
  error instanceof EmbudoError && error.code !== 'log_timeout' && error.code !== 'log_unavailable'

const placeParameters = ({ projection, topic, partition, offset }: DeadLetter): unknown[] => [
  projection,
  topic,
  partition,
  offset,
]

const settled = ({ id, state }: DeadLetter): EmbudoError =>
  new EmbudoError(
    'letter_settled',
    `dead letter ${id} is ${state === 'open' || state === 'deciding' ? 'being decided about' : state}`,
    { facts: { id, state } },
  )

const foreign = ({ id, projection, generation }: DeadLetter): EmbudoError =>
  new EmbudoError(
    'letter_of_other_version',
    `dead letter ${id} is of generation ${generation} of ${projection}, which another version of its code made: only that can apply it. It goes with its generation`,
    { facts: { id, projection, generation } },
  )
