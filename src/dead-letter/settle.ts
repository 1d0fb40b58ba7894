import { setTimeout as delay } from 'node:timers/promises'
import type { Pool } from 'pg'
import type { Logger } from 'pino'
import { messageOf } from '../define/error.ts'
import type { Correction } from './correction.ts'
import type { FollowedCorrections } from './corrections.ts'
import type { ParkedRecord, Released } from './decide.ts'

export interface SettlingParts {
  readonly pool: Pool
  readonly corrections: Pick<FollowedCorrections, 'of' | 'size' | 'upToDate'>
  readonly release: (parked: ParkedRecord) => Promise<Released>
  /** Repairs, in the generations that had applied it before, what a record that was decided about has come to. */
  readonly mend: (decided: Omit<ParkedRecord, 'generation'>) => Promise<void>
  /** Whether this process does it: one is enough. */
  readonly isMine: () => boolean
  /** How long an append may take: only after that it is known whether the log has what was sent. */
  readonly appendTimeoutMs: number
  readonly logger: Logger
  readonly everyMs?: number
  /** After a decision, until every process knows it and goes by it. */
  readonly knownAfterMs?: number
  /** Beyond the time of an append, for what is still on the wire. Default: 30 s. */
  readonly wireMs?: number
  /** Letters that are looked at together. */
  readonly pageLetters?: number
}

/**
 * Makes good what was left in the middle: a process that died between a decision and what comes of it, a generation
 * that parked a record while the decision about it was on its way, and one that had applied it before.
 */
export const settleDecided = (parts: SettlingParts): AsyncDisposable => {
  const stop = new AbortController()
  const tried = new WeakMap<Correction, Set<string>>()
  const failed = new Map<string, number>()

  const run = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      try {
        if (parts.isMine()) {
          await endUndecided(parts)
          await settleKnown(parts, tried, stop.signal)
          await mendDecided(parts, failed, stop.signal)
        }
      } catch (error) {
        parts.logger.warn({ error: messageOf(error) }, 'dead letters could not be looked after, trying again')
      }
      await delay(parts.everyMs ?? 2_000, undefined, { signal: stop.signal }).catch(() => {})
    }
  }
  const running = run()
  return {
    async [Symbol.asyncDispose]() {
      stop.abort()
      await running
    },
  }
}

interface Stored extends Omit<ParkedRecord, 'offset'> {
  readonly id: string
  readonly offset: string
  readonly key: Buffer | null
  readonly state: string
  readonly decision: string | null
}

/** The letters that a condition names, a page at a time. The condition's parameters begin with $3. */
async function* lettersWhere(
  { pool, pageLetters = 1_000 }: SettlingParts,
  condition: string,
  parameters: readonly unknown[] = [],
): AsyncGenerator<Stored, void, void> {
  for (let after = '0'; ; ) {
    const { rows } = await pool.query<Stored>(
      `select id, reader, generation, topic, partition, "offset", subject, key, state, decision
       from embudo.dead_letters where id > $1 and ${condition} order by id limit $2`,
      [after, pageLetters, ...parameters],
    )
    yield* rows
    if (rows.length < pageLetters) return
    after = rows.at(-1)!.id
  }
}

const parkedOf = ({ reader, generation, topic, partition, offset, subject }: Stored): ParkedRecord => ({
  ...{ reader, generation, topic, partition, offset: Number(offset), subject },
})

const knownOf = ({ corrections }: SettlingParts, { reader, topic, partition, offset }: Stored) =>
  corrections.of(reader, topic, partition, Number(offset))

const onTheWireMs = 30_000

/** Nobody is behind these any more: what the log does not have by now was never decided. */
const endUndecided = async (parts: SettlingParts): Promise<void> => {
  const { pool, corrections, appendTimeoutMs, wireMs = onTheWireMs } = parts
  const doubtful: Stored[] = []
  const late = `state in ('open', 'deciding') and (state = 'deciding' or decision is not null)
    and decided_at < now() - $3 * interval '1 millisecond'`
  for await (const letter of lettersWhere(parts, late, [appendTimeoutMs + wireMs])) {
    if (letter.decision === null || knownOf(parts, letter)?.id !== letter.decision) doubtful.push(letter)
  }
  if (doubtful.length === 0) return
  await corrections.upToDate()
  for (const letter of doubtful) {
    const known = knownOf(parts, letter)?.id ?? null
    if (known !== null && known === letter.decision) continue
    await pool.query(
      `update embudo.dead_letters set state = 'open', decision = $2, everywhere_at = null,
         decided_at = case when $2::text is not null then decided_at end
       where id = $1 and state = $3 and decision is not distinct from $4`,
      [letter.id, known, letter.state, letter.decision],
    )
  }
}

/** One that cannot be applied as it was decided is tried once; where a passing fault comes in between, again. */
const settleKnown = async (
  parts: SettlingParts,
  tried: WeakMap<Correction, Set<string>>,
  signal: AbortSignal,
): Promise<void> => {
  const { pool, corrections, release, logger } = parts
  if (corrections.size === 0) return
  const waiting = `state in ('open', 'deciding') and (state = 'deciding' or cause = 'poison')`
  for await (const letter of lettersWhere(parts, waiting)) {
    if (signal.aborted) return
    const correction = knownOf(parts, letter)
    if (correction === undefined || (letter.decision ?? correction.id) !== correction.id) continue
    const before = tried.get(correction) ?? new Set()
    tried.set(correction, before)
    if (before.has(letter.id)) continue
    try {
      await release(parkedOf(letter))
      if (letter.state === 'deciding') {
        await pool.query(
          `update embudo.dead_letters set state = 'open'
           where id = $1 and state = 'deciding' and decision is not distinct from $2`,
          [letter.id, letter.decision],
        )
      }
      before.add(letter.id)
    } catch (error) {
      logger.warn({ ...parkedOf(letter), error: messageOf(error) }, 'a dead letter could not be settled')
    }
  }
}

const mendAgainMs = 60_000

/** Once for each decision. */
const mendDecided = async (
  parts: SettlingParts,
  failed: Map<string, number>,
  signal: AbortSignal,
): Promise<void> => {
  const { pool, mend, logger, knownAfterMs = 15_000 } = parts
  const decided = `decision is not null and everywhere_at is null
    and decided_at < now() - $3 * interval '1 millisecond'`
  const done = new Set<string>()
  for await (const letter of lettersWhere(parts, decided, [knownAfterMs])) {
    if (signal.aborted) return
    const { decision } = letter
    if (decision === null || done.has(decision) || knownOf(parts, letter)?.id !== decision) continue
    if ((failed.get(decision) ?? 0) > performance.now()) continue
    try {
      // A letter names its subject in a text that Postgres can hold; rows go by the key itself.
      await mend({ ...parkedOf(letter), subject: letter.key?.toString('utf8') ?? '' })
      await pool.query('update embudo.dead_letters set everywhere_at = now() where decision = $1', [decision])
      done.add(decision)
      failed.delete(decision)
    } catch (error) {
      failed.set(decision, performance.now() + mendAgainMs)
      logger.error(
        { ...parkedOf(letter), error: messageOf(error) },
        'what was decided about a dead letter does not hold in every generation yet',
      )
    }
  }
}
