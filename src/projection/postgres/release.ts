import type { Pool, PoolClient } from 'pg'
import { type Advance, type PartitionOf, type Position, seizePosition } from '../../consumer/positions.ts'
import { awaitsDecision, type Corrections } from '../../dead-letter/correction.ts'
import { letterOf, storableError } from '../../dead-letter/letters.ts'
import { StoredRecord } from '../../dead-letter/stored-record.ts'
import type { Codec } from '../../log/codec.ts'
import type { LogRecord } from '../../log/port.ts'
import { transaction } from '../../postgres/transaction.ts'
import type { PostgresProjection } from '../definition.ts'
import { type Folded, foldModel, foldTally } from './fold-batch.ts'
import { isRefusal } from './poison.ts'
import { type Read, readOne } from './read-events.ts'
import { RowCache } from './row-cache.ts'
import type { Table } from './table.ts'
import { writeOne } from './write.ts'

export interface ReleaseParts {
  /** Commits synchronously: an epoch is raised. */
  readonly pool: Pool
  readonly codec: Codec
  readonly corrections: Corrections
}

/** Of a read model all that is parked of the subject, of a tally the one record. */
export interface Parked extends PartitionOf {
  readonly subject: string
  readonly offset: number
}

export interface Released {
  readonly applied: number
  readonly discarded: number
  /** Why it went no further, where it did not. */
  readonly error: string | undefined
}

/**
 * Applies parked records in the order of the log, corrected where somebody has decided so, up to the first that still
 * cannot be applied, or about which a decision is not known yet. Rows, the letters' states and the counts change in one transaction, under a position that is
 * locked and an epoch that is raised: the projector starts anew behind it, and lets later events of the subject through
 * once nothing of it is parked.
 */
export const release = async (
  projection: PostgresProjection,
  table: Table,
  parked: Parked,
  parts: ReleaseParts,
): Promise<Released> => {
  let [applied, discarded] = [0, 0]
  for (let atOnce = mostAtOnce; ; ) {
    let step: Step
    try {
      step = await transaction(parts.pool, (client) =>
        releaseSome(client, projection, table, parked, atOnce, parts),
      )
    } catch (error) {
      if (!isRefusal(error)) throw error
      // One by one from here on: the first that Postgres refuses is the one.
      if (atOnce > 1) {
        atOnce = 1
        continue
      }
      await transaction(parts.pool, (client) => noteFirst(client, projection, parked, error))
      return { applied, discarded, error: String((error as Error).message) }
    }
    applied += step.applied
    discarded += step.discarded
    if (step.isLast || step.error !== undefined) return { applied, discarded, error: step.error }
  }
}

const mostAtOnce = 1_000
const bytesAtOnce = 4 * 1024 * 1024

interface Step extends Released {
  readonly isLast: boolean
}

interface Letter {
  readonly id: string
  readonly offset: string
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: Record<string, string>
  readonly appended_at_ms: string
  readonly state: string
  readonly decision: string | null
}

const releaseSome = async (
  client: PoolClient,
  projection: PostgresProjection,
  table: Table,
  parked: Parked,
  atOnce: number,
  { codec, corrections }: ReleaseParts,
): Promise<Step> => {
  const nothing = { applied: 0, discarded: 0, error: undefined, isLast: true }
  const position = await seizePosition(client, parked)
  if (position === undefined) return nothing
  const { letters, isLast } = await lettersOf(client, projection, parked, atOnce)
  if (letters.length === 0) return nothing
  const types = projection.kind === 'tally' ? projection.count : projection.evolve
  const discarded: Letter[] = []
  const passedOver: Letter[] = []
  const read: { readonly letter: Letter; readonly read: Read }[] = []
  let isHeld = false
  for (const letter of letters) {
    const correction = corrections.of(parked.reader, parked.topic, parked.partition, Number(letter.offset))
    isHeld = awaitsDecision(letter, correction)
    if (isHeld) break
    if (correction?.decision === 'discarded') {
      discarded.push(letter)
      continue
    }
    const found = await readOne(recordOf(letter, correction?.value), parked, { codec, types })
    if (found === undefined) passedOver.push(letter)
    else read.push({ letter, read: found })
  }
  const known = { cache: new RowCache(0), parked: new Set<string>(), beingWritten: 0 }
  const fold =
    projection.kind === 'tally'
      ? foldTally(projection, { sql: client, table })
      : foldModel(projection, { sql: client, table })
  const folded = await fold(
    read.map((one) => one.read),
    known,
    new Map(),
  )
  const left = new Set(folded.letters.map((letter) => letter.offset))
  const firstLeft = folded.letters.find((letter) => letter.cause === 'poison')
  // Behind the first that is left nothing is released, also what would not need a fold.
  const isReached = ({ offset }: Letter): boolean =>
    projection.kind === 'tally' || firstLeft === undefined || Number(offset) < firstLeft.offset
  const applied = read.map((one) => one.letter).filter(({ offset }) => !left.has(Number(offset)))
  const ignored = passedOver.filter(isReached)
  const settledByDecision = discarded.filter(isReached)
  await write(client, table, folded, position, { applied: applied.length, ignored: ignored.length })
  await settle(client, [...applied, ...ignored], 'applied')
  await settle(client, settledByDecision, 'discarded')
  if (firstLeft !== undefined) {
    const { id } = letters.find(({ offset }) => Number(offset) === firstLeft.offset)!
    await note(client, id, firstLeft)
  }
  return {
    applied: applied.length,
    discarded: settledByDecision.length,
    error: firstLeft?.error,
    isLast: isLast || isHeld,
  }
}

/** The first of those that are parked, as many as fit; at least one where there is any. */
const lettersOf = async (
  client: PoolClient,
  projection: PostgresProjection,
  { reader, generation, topic, partition, subject, offset }: Parked,
  atOnce: number,
): Promise<{ readonly letters: readonly Letter[]; readonly isLast: boolean }> => {
  const { rows } = await client.query<Letter & { found: string }>(
    `select id, "offset", key, value, headers, appended_at_ms, state, decision, found from embudo.dead_letters
     join (
       select id, found, sum(length) over (order by "offset") - length as before from (
         select id, "offset", coalesce(octet_length(value), 0) as length, count(*) over () as found from (
           select * from embudo.dead_letters
           where reader = $1 and generation = $2 and topic = $3 and partition = $4 and subject = $5
             and ($6::bigint is null or "offset" = $6) and state in ('open', 'deciding')
           order by "offset" limit $7 + 1) as first) as next) as sized using (id)
     where before < $8 order by "offset" limit $7 for update of dead_letters`,
    [
      ...[reader, generation, topic, partition, subject],
      ...[projection.kind === 'tally' ? offset : null, atOnce, bytesAtOnce],
    ],
  )
  return { letters: rows, isLast: rows.length === Number(rows[0]?.found ?? 0) }
}

const recordOf = ({ offset, key, value, headers, appended_at_ms }: Letter, edited?: Buffer): LogRecord =>
  new StoredRecord({
    ...{ offset: Number(offset), key, headers, timestamp: Number(appended_at_ms) },
    value: edited ?? value,
  })

/** The position stays where it is; what was parked is counted as what it has become. */
const write = async (
  client: PoolClient,
  table: Table,
  folded: Folded,
  position: Position,
  { applied, ignored }: { readonly applied: number; readonly ignored: number },
): Promise<void> => {
  const counts = { applied, ignored, deadLettered: -(applied + ignored), duplicates: 0, markers: 0 }
  const standstill: Advance = { nextOffset: position.nextOffset, mark: position.mark, counts }
  await writeOne(client, table, { position, to: standstill, ...folded })
}

const settle = async (
  client: PoolClient,
  letters: readonly Letter[],
  state: 'applied' | 'discarded',
): Promise<void> => {
  if (letters.length === 0) return
  await client.query(
    'update embudo.dead_letters set state = $1, settled_at = now() where id = any($2::bigint[])',
    [state, letters.map(({ id }) => id)],
  )
}

/** It was tried once more, and this is why it still waits. */
const note = async (
  client: PoolClient,
  id: string,
  { code, error }: { readonly code: string | undefined; readonly error: string | undefined },
): Promise<void> => {
  await client.query(
    `update embudo.dead_letters set cause = 'poison', state = 'open', code = $2, error = $3, attempts = attempts + 1
     where id = $1`,
    [id, code, error === undefined ? null : storableError(error)],
  )
}

const noteFirst = async (
  client: PoolClient,
  projection: PostgresProjection,
  parked: Parked,
  error: unknown,
): Promise<void> => {
  const [first] = (await lettersOf(client, projection, parked, 1)).letters
  if (first === undefined) return
  await note(client, first.id, {
    ...letterOf(recordOf(first), undefined, error),
    code: 'row_refused',
  })
}
