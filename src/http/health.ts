import { messageOf } from '../define/error.ts'
import type { Health } from './operations.ts'

const patienceMs = 2_000

/** Without the log nothing can be accepted; without any other part, something still works. */
const indispensable = new Set(['kafka'])

/**
 * Asks every part at once, each for at most two seconds. `concerns` answer with a sentence where something is amiss
 * though every part is there; one that cannot be asked is no news.
 */
export const healthOf = async (
  parts: Readonly<Record<string, () => Promise<unknown>>>,
  concerns: Readonly<Record<string, () => Promise<string | undefined>>> = {},
): Promise<Health> => {
  const raised = concernsOf(concerns)
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
  const amiss = await raised
  const isWell = down.length === 0 && amiss.every(([, part]) => part.status === 'ok')
  const status = isWell ? 'ok' : down.some((name) => indispensable.has(name)) ? 'down' : 'degraded'
  return { status, parts: Object.fromEntries([...asked, ...amiss]) }
}

const concernsOf = async (
  concerns: Readonly<Record<string, () => Promise<string | undefined>>>,
): Promise<(readonly [string, { status: 'ok' } | { status: 'degraded'; detail: string }])[]> =>
  await Promise.all(
    Object.entries(concerns).map(async ([name, ask]) => {
      let detail: string | undefined
      await within(
        patienceMs,
        ask().then((told) => {
          detail = told
        }),
      ).catch(() => {})
      return [name, detail === undefined ? { status: 'ok' } : { status: 'degraded', detail }] as const
    }),
  )

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
