import { setTimeout as delay } from 'node:timers/promises'
import type { Pool } from 'pg'
import type { Logger } from 'pino'
import { messageOf } from '../define/error.ts'
import type { NewEvent } from '../define/event.ts'
import type { Effects } from '../define/saga.ts'
import { transaction } from '../postgres/transaction.ts'
import type { Appender } from './appender.ts'

interface EffectParts {
  readonly pool: Pool
  readonly appender: Appender
  readonly logger: Logger
  readonly now: () => Date
  readonly newId: () => string
}

/** Effects joined to what the runtime has, and how their loops are stopped. */
export interface Connected extends AsyncDisposable {
  readonly ports: unknown
}

export const connectEffects = async (
  name: string,
  effects: Effects<unknown>,
  parts: EffectParts,
): Promise<Connected> => {
  const { pool, appender, logger, now, newId } = parts
  const { tables } = effects
  if (tables !== undefined) {
    await transaction(pool, async (client) => {
      // Two processes that create the same thing at once would both fail to find it, and one fail to make it.
      await client.query("select pg_advisory_xact_lock(hashtextextended('embudo.effects', 0))")
      await client.query(tables)
    })
  }

  const stop = new AbortController()
  const loops: Promise<void>[] = []
  const ports = effects.connect({
    sql: async (text, parameters = []) =>
      (await pool.query(text, [...parameters])).rows as Record<string, unknown>[],
    append: (event: NewEvent) =>
      appender.append([
        {
          ...event,
          id: event.id ?? newId(),
          source: event.source ?? name,
          time: event.time ?? now().toISOString(),
        },
      ]),
    now,
    repeat: (everyMs, work) => loops.push(repeat(everyMs, work, stop.signal, logger)),
  })
  return {
    ports,
    async [Symbol.asyncDispose]() {
      stop.abort()
      await Promise.all(loops)
    },
  }
}

/** A failure is logged when it begins, not each time. */
export const repeat = async (
  everyMs: number,
  work: () => Promise<void>,
  signal: AbortSignal,
  logger: Logger,
): Promise<void> => {
  let isFailing = false
  while (!signal.aborted) {
    try {
      await work()
      isFailing = false
    } catch (error) {
      if (!isFailing)
        logger.warn({ error: messageOf(error) }, 'work that is done over and over failed; it goes on trying')
      isFailing = true
    }
    await delay(isFailing ? Math.max(everyMs, 500) : everyMs, undefined, { signal }).catch(() => {})
  }
}
