import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import { messageOf } from '../define/error.ts'
import type { Membership } from './membership.ts'

export interface SoleWork {
  /** Tells it from other work; which process does it follows from the name. */
  readonly name: string
  readonly everyMs: number
  readonly work: (signal: AbortSignal) => Promise<void>
  /** Called in place of `work` where another process does it. */
  readonly rest?: () => void
}

/**
 * Work that one live process does for all of them, over and over until disposed. Two may do it for a moment when
 * one comes or goes: it must bear that. A failure is logged when it lasts, and when it is over.
 */
export const startSoleWork = (
  { name, everyMs, work, rest }: SoleWork,
  { membership, logger }: { readonly membership: Membership; readonly logger: Logger },
): AsyncDisposable => {
  const stop = new AbortController()
  const { signal } = stop
  let failures = 0

  const once = async (): Promise<void> => {
    if (!membership.ownsDuty(name)) return rest?.()
    try {
      await work(signal)
      if (failures > 1) logger.info({ work: name }, 'work that had failed goes on')
      failures = 0
    } catch (error) {
      if (signal.aborted) return
      if (++failures === 2)
        logger.warn({ work: name, error: messageOf(error) }, 'work that is done over and over fails')
    }
  }

  const done = (async () => {
    while (!signal.aborted) {
      await once()
      await delay(everyMs, undefined, { signal }).catch(() => {})
    }
  })()
  return {
    async [Symbol.asyncDispose]() {
      stop.abort()
      await done
    },
  }
}
