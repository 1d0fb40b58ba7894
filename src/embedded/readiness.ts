import { setTimeout as sleep } from 'node:timers/promises'
import { EmbudoError, messageOf } from '../define/error.ts'
import type { TetheredProcess } from './tethered-process.ts'

/**
 * Asks until the part answers; gives up when its process ends, when it takes too long or on `signal`. A round counts
 * as a few seconds at most: where the machine stood still, the part did as well.
 */
export async function untilReady(options: {
  part: string
  process: TetheredProcess
  logFile: string
  ask: () => Promise<unknown>
  patienceMs?: number
  signal?: AbortSignal | undefined
}): Promise<void> {
  const patienceMs = options.patienceMs ?? 120_000
  let waitedMs = 0
  let ended: number | undefined
  void options.process.exited.then((status) => {
    ended = status
  })
  for (;;) {
    const begun = performance.now()
    options.signal?.throwIfAborted()
    try {
      await options.ask()
      return
    } catch (error) {
      if (ended !== undefined) throw notStarted(options, `ended with status ${ended} before it was ready`)
      if (waitedMs > patienceMs) throw notStarted(options, `did not answer in time: ${messageOf(error)}`)
    }
    await sleep(40)
    waitedMs += Math.min(longestRoundMs, performance.now() - begun)
  }
}

const longestRoundMs = 5_000

const notStarted = (options: { part: string; logFile: string }, reason: string) =>
  new EmbudoError('part_not_started', `The embedded ${options.part} ${reason}. Its log: ${options.logFile}`, {
    facts: { part: options.part, logFile: options.logFile },
  })
