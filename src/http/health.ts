import { messageOf } from '../define/error.ts'
import type { Health } from './operations.ts'

const patienceMs = 2_000

/** Without the log nothing can be accepted; without any other part, something still works. */
const indispensable = new Set(['kafka'])

/** Asks every part at once, each for at most two seconds. */
export const healthOf = async (parts: Readonly<Record<string, () => Promise<unknown>>>): Promise<Health> => {
  const asked = await Promise.all(
    Object.entries(parts).map(async ([name, ask]) => {
      const startedAt = performance.now()
      try {
        await within(patienceMs, ask())
        return [
          name,
          { status: 'ok' as const, milliseconds: Math.round(performance.now() - startedAt) },
        ] as const
      } catch (error) {
        return [name, { status: 'down' as const, detail: messageOf(error) }] as const
      }
    }),
  )
  const down = asked.filter(([, part]) => part.status === 'down').map(([name]) => name)
  const status = down.length === 0 ? 'ok' : down.some((name) => indispensable.has(name)) ? 'down' : 'degraded'
  return { status, parts: Object.fromEntries(asked) }
}

const within = async (ms: number, answer: Promise<unknown>): Promise<void> => {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms)
  })
  try {
    await Promise.race([answer, late])
  } finally {
    clearTimeout(timer)
  }
}
