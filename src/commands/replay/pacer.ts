import type { CommandContext } from '../context.ts'

/** Lets records through at a rate, a tenth of a second's worth at once. */
export const pacer = (perSecond: number | undefined, { now, wait }: Pick<CommandContext, 'now' | 'wait'>) => {
  const startedAt = now()
  let letThrough = 0
  return {
    atOnce: perSecond === undefined ? 1_000 : Math.max(1, Math.min(1_000, Math.floor(perSecond / 10))),
    async wait(records: number): Promise<void> {
      if (perSecond === undefined) return
      const dueMs = (letThrough / perSecond) * 1_000
      letThrough += records
      const earlyMs = startedAt + dueMs - now()
      if (earlyMs > 0 && records > 0) await wait(earlyMs)
    },
  }
}
