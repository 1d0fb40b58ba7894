import process from 'node:process'
import { afterEach, describe, expect, it } from 'vitest'
import { startRoleProcess } from '../../../src/supervisor/role-process.ts'
import { until } from '../../processes.ts'

const node = process.execPath
afterEach(() => {
  process.execPath = node
})

/** Until it has been tried twice. */
const reasons = async (env: Record<string, string>, sibling?: number): Promise<string[]> => {
  const why: string[] = []
  const role = startRoleProcess({
    name: 'http',
    roles: ['ingest'],
    main: import.meta.filename,
    env,
    logFile: '/dev/null',
    ...(sibling === undefined ? {} : { sibling }),
    onNotice: () => {},
    onRestart: (reason) => why.push(reason),
    onStarted: () => {},
  })
  await until('it was tried twice', () => why.length >= 2)
  await role[Symbol.asyncDispose]()
  return why
}

describe('a process that cannot be started', () => {
  it.each([
    ['alone', undefined],
    ['beside others', 1],
  ])('%s is tried again', async (_, sibling) => {
    process.execPath = '/nowhere/node'
    for (const why of await reasons({}, sibling)) expect(why).toMatch(/cannot be started: .*ENOENT/)
  })

  it('is tried again where the system refuses at once', async () => {
    for (const why of await reasons({ LONG: 'x'.repeat(4_000_000) })) {
      expect(why).toMatch(/cannot be started: .*E2BIG/)
    }
  })
})

describe('a process that ends after a stop has begun', () => {
  it('is not started again', async () => {
    const stop = new AbortController()
    const why: string[] = []
    let forks = 0
    const { promise: ended, resolve } = Promise.withResolvers<void>()
    await using _ = startRoleProcess({
      name: 'worker',
      roles: ['project'],
      main: '/nowhere/main.ts',
      env: {},
      logFile: '/dev/null',
      signal: stop.signal,
      onForked: (child) => {
        forks += 1
        stop.abort()
        child.once('close', () => resolve())
      },
      onNotice: () => {},
      onRestart: (reason) => why.push(reason),
      onStarted: () => {},
    })
    await ended
    expect({ forks, why }).toEqual({ forks: 1, why: [] })
  })
})
