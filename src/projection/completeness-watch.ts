import type { Pool } from 'pg'
import type { Logger } from 'pino'
import type { Membership } from '../consumer/membership.ts'
import { startSoleWork } from '../consumer/sole-work.ts'
import type { CountStored, Mismatch, ReconciledPartition, ReconcileParts } from './reconcile.ts'
import { reconcile } from './reconcile.ts'

export interface CompletenessWatchParts extends ReconcileParts {
  readonly countStored: CountStored
  readonly pool: Pool
  readonly membership: Membership
  readonly logger: Logger
  readonly everyMs: number
  readonly nowMs?: () => number
}

export interface CompletenessWatch extends AsyncDisposable {
  /** What the last look found; undefined before the first, where another process looks, and where looking fails. */
  last(): { readonly items: readonly ReconciledPartition[]; readonly alarms: readonly Alarm[] } | undefined
}

/** A mismatch and where it is. */
export interface Alarm extends Mismatch {
  readonly projection: string
  readonly generation: number
  readonly topic: string
  readonly partition: number
}

/**
 * Reconciles all the time, in one process for all: what does not add up is logged as an error when it appears, and
 * written down for every process to tell until it is gone. ClickHouse's rows are counted less often, and so that the
 * counting takes at most a fiftieth of the time.
 */
export const watchCompleteness = (parts: CompletenessWatchParts): CompletenessWatch => {
  const { pool, logger, everyMs, nowMs = () => performance.now() } = parts
  let last: ReturnType<CompletenessWatch['last']>
  let lookedAt = Number.NEGATIVE_INFINITY
  let rowAlarms: readonly Alarm[] = []
  let countsRowsAt = Number.NEGATIVE_INFINITY

  const look = async (signal: AbortSignal): Promise<void> => {
    const startedAt = nowMs()
    const countsRows = startedAt >= countsRowsAt
    const countStored = countsRows ? parts.countStored : undefined
    const found = await reconcile({ ...parts, countStored, signal })
    signal.throwIfAborted()
    if (countsRows) {
      countsRowsAt = startedAt + Math.max(8 * everyMs, 50 * (nowMs() - startedAt))
      if (found.notCounted !== null)
        logger.warn({ error: found.notCounted }, "ClickHouse's rows were not counted")
    }
    const alarms = alarmsIn(found.items)
    if (countsRows && found.notCounted === null) rowAlarms = alarms.filter(isOfRows)
    const all = [...alarms.filter((alarm) => !isOfRows(alarm)), ...rowAlarms]
    tellChanges(last?.alarms ?? [], all, logger)
    last = { items: found.items, alarms: all }
    lookedAt = nowMs()
    await writeDown(pool, all)
  }
  const rest = () => {
    last = undefined
    rowAlarms = []
    countsRowsAt = Number.NEGATIVE_INFINITY
  }
  const work = startSoleWork({ name: 'reconcile', everyMs, work: look, rest }, parts)
  return {
    // Where looking fails for long, an alarm must tell of that, and not go by what once was.
    last: () => (nowMs() - lookedAt > staleAfterMs(everyMs) ? undefined : last),
    [Symbol.asyncDispose]: () => work[Symbol.asyncDispose](),
  }
}

/** One look may be missed, and may take long. */
const staleAfterMs = (everyMs: number): number => 4 * everyMs + 60_000

/**
 * What the last look of any process found amiss, in a sentence; undefined where everything adds up. One that is too
 * long ago says nothing of what is so now.
 */
export const completenessConcern = async (
  pool: Pick<Pool, 'query'>,
  everyMs: number,
): Promise<string | undefined> => {
  const { rows } = await pool.query<{ mismatches: readonly Alarm[]; at: Date; isStale: boolean }>(
    `select mismatches, at, at < now() - $1 * interval '1 millisecond' as "isStale" from embudo.reconciliation`,
    [staleAfterMs(everyMs)],
  )
  if (rows[0]?.isStale)
    return `nobody has looked since ${rows[0].at.toISOString()}: a worker does, and its log says why it cannot`
  const [first, ...others] = rows[0]?.mismatches ?? []
  if (first === undefined) return undefined
  const more = others.length === 0 ? '' : ` (and ${others.length} more)`
  return `${placeOf(first)}: ${first.detail}${more}; \`npx embudo reconcile\` shows all of it`
}

const alarmsIn = (items: readonly ReconciledPartition[]): Alarm[] =>
  items.flatMap(({ projection, generation, topic, partition, mismatches }) =>
    mismatches.map((mismatch) => ({ projection, generation, topic, partition, ...mismatch })),
  )

const isOfRows = ({ code }: Alarm): boolean => code.startsWith('rows_')

const tellChanges = (before: readonly Alarm[], now: readonly Alarm[], logger: Logger): void => {
  const known = new Set(before.map(keyOf))
  const still = new Set(now.map(keyOf))
  for (const alarm of now) {
    if (!known.has(keyOf(alarm)))
      logger.error({ ...alarm }, `does not add up: ${placeOf(alarm)}: ${alarm.detail}`)
  }
  for (const alarm of before) {
    if (!still.has(keyOf(alarm))) logger.info({ ...alarm }, `adds up again: ${placeOf(alarm)}`)
  }
}

/** Readers, partitions and codes are few, but every partition may have lost something at once. */
const mostWrittenDown = 100

const writeDown = async (pool: Pool, alarms: readonly Alarm[]): Promise<void> => {
  await pool.query(
    `insert into embudo.reconciliation (at, mismatches) values (now(), $1::jsonb)
     on conflict (is_the_one) do update set at = excluded.at, mismatches = excluded.mismatches`,
    [JSON.stringify(alarms.slice(0, mostWrittenDown))],
  )
}

const placeOf = ({ projection, generation, topic, partition }: Alarm): string =>
  `${projection} (generation ${generation}) in ${topic}:${partition}`

const keyOf = (alarm: Alarm): string => `${placeOf(alarm)} ${alarm.code}`
