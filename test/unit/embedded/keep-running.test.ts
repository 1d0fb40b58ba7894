import { describe, expect, it, vi } from 'vitest'
import { keepRunning, mostAttempts, restartDelayMs } from '../../../src/embedded/keep-running.ts'

const ending = (status: number) => ({ exited: Promise.resolve(status) })
const running = { exited: new Promise<number>(() => {}) }

describe('a part that is kept running', () => {
  it('is started again when it ends, and when a start fails', async () => {
    const stop = new AbortController()
    const outcomes = [new Error('port taken'), ending(1), running]
    const said: string[] = []
    const kept = keepRunning({
      first: ending(137),
      restart: async () => {
        const next = outcomes.shift() ?? running
        if (next instanceof Error) throw next
        if (next === running) stop.abort()
        return next
      },
      notice: (line) => said.push(line),
      signal: stop.signal,
    })
    expect(await kept).toBeUndefined()
    expect(outcomes).toEqual([])
    expect(said).toEqual([
      'ended by itself (status 137), starting it again',
      `did not come up, attempt 1 of ${mostAttempts}: port taken`,
      'ended by itself (status 1), starting it again',
    ])
  })

  it('is not started again once a stop has begun, also when it waits for that', async () => {
    const restart = vi.fn(async () => running)
    const stop = new AbortController()
    const notice = () => stop.abort()
    expect(await keepRunning({ first: ending(143), restart, notice, signal: stop.signal })).toBeUndefined()
    expect(
      await keepRunning({ first: ending(143), restart, notice: () => {}, signal: AbortSignal.abort() }),
    ).toBeUndefined()
    expect(restart).not.toHaveBeenCalled()
  })

  it('is waited for longer from one attempt to the next, up to a limit', () => {
    const delays = [0, 1, 2, 3].map(restartDelayMs)
    expect(delays).toEqual([100, 200, 400, 800])
    expect(restartDelayMs(1_000)).toBe(5_000)
  })
})
