import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf } from '../define/error.ts'

interface Runs {
  readonly exited: Promise<number>
}

export interface KeepOptions {
  readonly first: Runs
  /** Ends what is left of the last one and starts the next; resolves when that answers, rejects when it does not. */
  readonly restart: () => Promise<Runs>
  readonly notice: (line: string) => void
  readonly signal: AbortSignal
}

/** In a row. With the delays between them a port or a lock has a quarter of a minute to become free. */
export const mostAttempts = 8

/**
 * Starts a part again whenever it ends by itself. Resolves with its exit status when it does not come up any more,
 * with undefined when `signal` aborts.
 */
export async function keepRunning(options: KeepOptions): Promise<number | undefined> {
  const { restart, notice, signal } = options
  const aborted = new Promise<undefined>((resolve) => {
    if (signal.aborted) resolve(undefined)
    signal.addEventListener('abort', () => resolve(undefined), { once: true })
  })
  let running = options.first
  let shortLives = 0
  for (;;) {
    const since = performance.now()
    const status = await Promise.race([running.exited, aborted])
    if (status === undefined || signal.aborted) return undefined
    if (performance.now() - since > steadyMs) shortLives = 0
    notice(`ended by itself (status ${status}), starting it again`)
    const next = await comeUp({ restart, notice, signal, from: shortLives++ })
    if (next === undefined) return signal.aborted ? undefined : status
    running = next
  }
}

/** Who has run that long may be started again without a delay. */
const steadyMs = 10_000

const comeUp = async ({
  restart,
  notice,
  signal,
  from,
}: Omit<KeepOptions, 'first'> & { from: number }): Promise<Runs | undefined> => {
  for (let attempt = 0; attempt < mostAttempts; attempt++) {
    try {
      await sleep(restartDelayMs(from + attempt), undefined, { signal })
      return await restart()
    } catch (error) {
      if (signal.aborted) return undefined
      notice(`did not come up, attempt ${attempt + 1} of ${mostAttempts}: ${messageOf(error)}`)
    }
  }
  return undefined
}

const longestDelayMs = 5_000

export const restartDelayMs = (failures: number): number => Math.min(longestDelayMs, 100 * 2 ** failures)
