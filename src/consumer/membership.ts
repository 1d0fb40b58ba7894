import { createHash } from 'node:crypto'
import type { Pool } from 'pg'
import type { Logger } from 'pino'
import { messageOf } from '../define/error.ts'

/**
 * Who is alive, and so who reads which partition. Each process writes a heartbeat and counts as dead when that
 * is older than `ttlMs` by Postgres's clock; a partition belongs to the live process with the highest hash of
 * both names, so that one that comes or goes moves only its own share. Two processes may disagree for a moment:
 * epochs make that harmless (see positions.ts), this only makes it rare.
 */
export interface Membership extends AsyncDisposable {
  readonly worker: string
  /** One process reads a partition for all its readers, so that it is fetched once. */
  owns(topic: string, partition: number): boolean
  /** For what one process at a time should look after. */
  ownsDuty(name: string): boolean
  /** Called whenever the set of live processes changes; the answer unsubscribes. */
  onChange(listener: () => void): () => void
}

/** Of a process that looks on, and owns nothing. */
export const noMembership: Membership = {
  worker: '',
  owns: () => false,
  ownsDuty: () => false,
  onChange: () => () => {},
  async [Symbol.asyncDispose]() {},
}

export interface MembershipOptions {
  readonly pool: Pool
  readonly worker: string
  readonly logger: Logger
  readonly heartbeatMs?: number
  readonly ttlMs?: number
}

export const joinMembership = async ({
  pool,
  worker,
  logger,
  heartbeatMs = 1_000,
  ttlMs = 8_000,
}: MembershipOptions): Promise<Membership> => {
  const listeners = new Set<() => void>()
  let live: readonly string[] = []
  let lastSeen = performance.now()

  const beat = async (): Promise<void> => {
    const { rows } = await pool.query<{ id: string }>(
      `with beat as (
         insert into embudo.workers (id, seen_at) values ($1, now())
         on conflict (id) do update set seen_at = now() returning id
       ), dead as (
         delete from embudo.workers where seen_at < now() - $2 * interval '10 milliseconds' and id <> $1
       )
       select id from embudo.workers where seen_at >= now() - $2 * interval '1 millisecond' and id <> $1
       union select id from beat order by id`,
      [worker, ttlMs],
    )
    lastSeen = performance.now()
    become(rows.map((row) => row.id))
  }

  const become = (workers: readonly string[]): void => {
    if (workers.join() === live.join()) return
    logger.info({ workers }, 'the live processes changed')
    live = workers
    for (const listener of listeners) listener()
  }

  await beat()
  let beating = Promise.resolve()
  const timer = setInterval(() => {
    beating = beat().catch((error: unknown) => {
      logger.warn({ error: messageOf(error) }, 'heartbeat failed')
      // Others have taken our partitions by now: what we still do in them would be refused.
      if (performance.now() - lastSeen > ttlMs) become([])
    })
  }, heartbeatMs)

  return {
    worker,
    owns: (topic, partition) => ownerOf(live, `${topic}/${partition}`) === worker,
    ownsDuty: (name) => ownerOf(live, name) === worker,
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      // One that is under way would write the row again.
      await beating
      await pool.query('delete from embudo.workers where id = $1', [worker]).catch(() => {})
    },
  }
}

/** Rendezvous hashing: the worker whose hash with the item is highest. */
export const ownerOf = (workers: readonly string[], item: string): string | undefined => {
  let owner: string | undefined
  let best = ''
  for (const worker of workers) {
    const weight = createHash('md5').update(`${worker}\n${item}`).digest('hex')
    if (weight > best) {
      best = weight
      owner = worker
    }
  }
  return owner
}
