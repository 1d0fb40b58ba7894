import { setTimeout as delay } from 'node:timers/promises'
import type { Pool } from 'pg'
import type { Logger } from 'pino'
import { messageOf } from '../define/error.ts'
import type { Correction, Corrections } from './correction.ts'
import type { ParkedRecord } from './decide.ts'

export interface SettlingParts {
  readonly pool: Pool
  readonly corrections: Corrections
  readonly release: (parked: ParkedRecord) => Promise<void>
  /** Whether this process does it: one is enough. */
  readonly isMine: () => boolean
  readonly logger: Logger
  readonly everyMs?: number
}

/**
 * Makes good what was left in the middle: a process that died between a decision and what comes of it, and a
 * generation that parked a record while the decision about it was on its way.
 */
export const settleDecided = (parts: SettlingParts): AsyncDisposable => {
  const stop = new AbortController()
  const tried = new WeakMap<Correction, Set<string>>()

  const run = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      try {
        if (parts.isMine()) await settleOnce(parts, tried)
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

const settleOnce = async (
  { pool, corrections, release }: SettlingParts,
  tried: WeakMap<Correction, Set<string>>,
): Promise<void> => {
  // Longer than a decision can take: nobody is behind it any more.
  await pool.query(
    `update embudo.dead_letters set state = 'open' where state = 'deciding' and decided_at < now() - interval '60 seconds'`,
  )
  if (corrections.size === 0) return
  const { rows } = await pool.query<Omit<ParkedRecord, 'offset'> & { id: string; offset: string }>(
    `select id, reader, generation, topic, partition, "offset", subject from embudo.dead_letters
     where state = 'open' and cause = 'poison' order by id limit 10000`,
  )
  for (const { id, ...row } of rows) {
    const parked = { ...row, offset: Number(row.offset) }
    const correction = corrections.of(parked.reader, parked.topic, parked.partition, parked.offset)
    if (correction === undefined) continue
    const before = tried.get(correction) ?? new Set()
    tried.set(correction, before)
    if (before.has(id)) continue
    before.add(id)
    await release(parked)
  }
}
