import type { Pool } from 'pg'
import type { Logger } from 'pino'
import type { Log, NextOffset } from '../log/port.ts'
import type { Membership } from './membership.ts'
import { startSoleWork } from './sole-work.ts'

export interface MirrorParts {
  readonly log: Pick<Log, 'mirrorOffsets'>
  readonly pool: Pick<Pool, 'query'>
  readonly membership: Membership
  readonly logger: Logger
  /** Of the topics' names, and of the groups'. */
  readonly prefix: string
  readonly everyMs?: number
  readonly now?: () => number
}

/**
 * Shows Kafka's tools where every reader's live generation stands, as the offsets of a consumer group that has no
 * members: for them to see the lag, and never read back.
 */
export const mirrorPositions = (parts: MirrorParts): AsyncDisposable => {
  const { log, pool, prefix, now = Date.now } = parts
  let shown = new Map<string, number>()
  let shownAllAt = Number.NEGATIVE_INFINITY

  const mirror = async (): Promise<void> => {
    // The broker forgets what nobody has committed for days (offsets.retention.minutes), even where nothing moved.
    if (now() - shownAllAt > showAllEveryMs) {
      shown = new Map()
      shownAllAt = now()
    }
    const positions = (await livePositions(pool, prefix)).filter(
      (each) => shown.get(keyOf(each)) !== each.offset,
    )
    const groups = Map.groupBy(positions, ({ reader }) => groupOf(prefix, reader))
    const outcomes = await Promise.allSettled(
      [...groups].map(async ([group, offsets]) => {
        await log.mirrorOffsets(group, offsets.map(withoutReader))
        for (const each of offsets) shown.set(keyOf(each), each.offset)
      }),
    )
    const failed = outcomes.find((outcome) => outcome.status === 'rejected')
    if (failed !== undefined) throw failed.reason
  }
  const rest = () => {
    shownAllAt = Number.NEGATIVE_INFINITY
  }
  return startSoleWork({ name: 'mirror', everyMs: parts.everyMs ?? 5_000, work: mirror, rest }, parts)
}

/** `embudo.lead_profile`, `embudo.saga.enrollment`: letters that every tool takes. */
export const groupOf = (prefix: string, reader: string): string =>
  `${prefix}${reader}`.replaceAll(/[^a-zA-Z0-9._-]/g, '.')

const showAllEveryMs = 3_600_000

interface ReaderOffset extends NextOffset {
  readonly reader: string
}

const livePositions = async (pool: MirrorParts['pool'], prefix: string): Promise<ReaderOffset[]> => {
  const { rows } = await pool.query<ReaderOffset>(
    `select p.reader, p.topic, p.partition, p.next_offset as "offset" from embudo.positions p
     left join embudo.generations g on g.projection = p.reader and g.generation = p.generation
     where coalesce(g.state, 'live') = 'live' and starts_with(p.topic, $1)`,
    [prefix],
  )
  return rows.map((row) => ({ ...row, offset: Number(row.offset) }))
}

const keyOf = ({ reader, topic, partition }: ReaderOffset): string => `${reader}\n${topic}\n${partition}`

const withoutReader = ({ topic, partition, offset }: ReaderOffset): NextOffset => ({
  topic,
  partition,
  offset,
})
