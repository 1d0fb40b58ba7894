import type { Pool, PoolClient } from 'pg'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, inject, it, vi } from 'vitest'
import { raiseEpoch } from '../../../src/consumer/positions.ts'
import type { DomainEvent } from '../../../src/define/event.ts'
import { done, type SagaDefinition, saga, step } from '../../../src/define/saga.ts'
import { sagaIdOf } from '../../../src/saga/deterministic-id.ts'
import { takeIn } from '../../../src/saga/intake.ts'
import { listSagas, showSaga } from '../../../src/saga/queries.ts'
import { Runner } from '../../../src/saga/runner.ts'
import { eventually, makeDatabase } from './world.ts'

let database: Awaited<ReturnType<typeof makeDatabase>>
let pool: Pool
let stack: AsyncDisposableStack
let offset = 0

beforeEach(async () => {
  stack = new AsyncDisposableStack()
  database = stack.use(await makeDatabase(inject('parts').databaseUrl))
  pool = database.pool
})

afterEach(() => stack.disposeAsync())

/** One step whose call, and undo, is what the test says. */
const errand = (
  call: (key: string, signal: AbortSignal) => Promise<void>,
  more: { failing?: boolean } = {},
): SagaDefinition =>
  saga({
    name: 'errand',
    version: 1,
    startedBy: 'lead_registered',
    deadline: '1 hour',
    effects: { connect: () => ({}) },
    steps: [
      step('go', {
        call: async ({ idempotencyKey, signal }) => {
          await call(idempotencyKey, signal)
          return done()
        },
        undo: async () => {
          if (more.failing) throw new Error('cannot be undone')
          return done()
        },
        retry: { attempts: 2, baseDelayMs: 1, maxDelayMs: 1, timeoutMs: 600_000 },
      }),
      step('end', { call: async () => done() }),
    ],
  })

const registered = (subject: string): DomainEvent => ({
  type: 'lead_registered',
  id: `registered-${subject}`,
  source: 'test',
  time: '2026-11-20T10:00:00.000Z',
  subject,
  data: { leadId: subject },
  topic: 'embudo.leads',
  partition: 0,
  offset: 0,
  appendedAtMs: 0,
  correlationId: undefined,
  causationId: undefined,
  traceparent: undefined,
})

const begin = async (definition: SagaDefinition, ...subjects: string[]): Promise<void> => {
  const of = { reader: 'saga:errand', generation: 1, topic: `t${offset++}`, partition: 0 }
  const position = await raiseEpoch(pool, of, 0)
  const counts = { applied: subjects.length, ignored: 0, duplicates: 0, deadLettered: 0, markers: 0 }
  const to = { nextOffset: subjects.length, mark: 'm', counts }
  await takeIn(pool, { newest: definition, all: [definition] }, position, subjects.map(registered), to)
}

const run = (
  definition: SagaDefinition,
  over: { pool?: Pool; leaseMs?: number; maxInFlight?: number } = {},
): Runner =>
  stack.use(
    new Runner({
      pool,
      runnables: [{ definition, ports: {} }],
      appender: { check: () => {} },
      logger: pino({ level: 'fatal' }),
      random: () => 0.5,
      maxInFlight: 64,
      leaseMs: 60_000,
      pollMs: 20,
      onSettled: () => {},
      observe: () => () => {},
      ...over,
    }),
  )

const shown = (subject: string, isSo: (state: string) => boolean) =>
  eventually(
    async () => (await showSaga(pool, sagaIdOf('errand', subject)))!,
    ({ state }) => isSo(state),
  )

const isCompleted = (state: string) => state === 'COMPLETED'

/** A pool whose every use waits while it is stopped, as a stopped process's would. */
const stoppable = (inner: Pool) => {
  let stopped: PromiseWithResolvers<void> | undefined
  const waitFor = async <T>(use: () => Promise<T>): Promise<T> => {
    await stopped?.promise
    return use()
  }
  const outer = {
    query: (...query: Parameters<Pool['query']>) =>
      waitFor(() => inner.query(...query) as unknown as Promise<unknown>),
    connect: () => waitFor(() => inner.connect() as Promise<PoolClient>),
  }
  return {
    pool: outer as unknown as Pool,
    stop: () => {
      stopped = Promise.withResolvers()
    },
    goOn: () => {
      stopped?.resolve()
      stopped = undefined
    },
  }
}

describe('a runner', () => {
  it('that was stopped for longer than its lease finds its outcome refused', async () => {
    const first = Promise.withResolvers<void>()
    const called: string[] = []
    const process = stoppable(pool)
    const definition = errand(async (key) => {
      called.push(key)
      if (called.length > 1) return
      // Here, so that it cannot take the saga up again itself.
      process.stop()
      await first.promise
    })
    await begin(definition, 'S')
    run(definition, { pool: process.pool, leaseMs: 400 })
    await eventually(
      async () => called.length,
      (count) => count === 1,
    )
    run(definition)
    const saga = await shown('S', isCompleted)
    first.resolve()
    process.goOn()
    await begin(definition, 'after')
    await shown('after', isCompleted)
    expect(await showSaga(pool, saga.id)).toEqual(saga)
    expect(saga.timeline.map(({ what, attempt }) => [what, attempt])).toEqual([
      ['started', null],
      ['calling', 1],
      ['calling', 2],
      ['done', 2],
      ['calling', 1],
      ['done', 1],
      ['completed', null],
    ])
    expect(new Set(called.slice(0, 2))).toEqual(new Set([`${saga.id}:go:call`]))
  })

  it('keeps its claim for as long as a call takes', async () => {
    const slow = Promise.withResolvers<void>()
    let called = 0
    const definition = errand(async () => {
      called++
      await slow.promise
    })
    const leaseMs = 600_000
    const leftMs = async () => {
      const { rows } = await pool.query<{ ms: number }>(
        'select extract(epoch from due_at - clock_timestamp())::float * 1000 as ms from embudo.sagas',
      )
      return rows[0]!.ms
    }
    await begin(definition, 'S')
    // The time of renewals goes by as the test says: no slow machine misses one.
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    stack.defer(() => void vi.useRealTimers())
    run(definition, { leaseMs })
    stack.defer(() => slow.resolve())
    await eventually(
      async () => called,
      (count) => count === 1,
    )
    for (let lease = 0; lease < 3; lease++) {
      await pool.query("update embudo.sagas set due_at = clock_timestamp() + interval '5 minutes'")
      vi.advanceTimersByTime(leaseMs / 2)
      await eventually(leftMs, (left) => left > leaseMs / 2)
    }
    slow.resolve()
    await shown('S', isCompleted)
    expect(called).toBe(1)
  })

  it('shares the work with others, each saga done by one', async () => {
    const called: string[] = []
    const definition = errand(async (key) => {
      called.push(key)
    })
    const subjects = Array.from({ length: 300 }, (_, index) => `S-${index}`)
    for (let runner = 0; runner < 3; runner++) run(definition)
    await begin(definition, ...subjects)
    await eventually(
      async () =>
        (await pool.query("select count(*)::int as n from embudo.sagas where state = 'COMPLETED'")).rows[0].n,
      (count) => count === subjects.length,
    )
    expect(called).toHaveLength(subjects.length)
    expect(new Set(called).size).toBe(subjects.length)
  })

  it('runs no more calls at once than it may', async () => {
    let now = 0
    let most = 0
    const definition = errand(async () => {
      most = Math.max(most, ++now)
      await new Promise(setImmediate)
      now--
    })
    run(definition, { maxInFlight: 3 })
    await begin(definition, ...Array.from({ length: 30 }, (_, index) => `S-${index}`))
    await shown('S-29', isCompleted)
    await shown('S-0', isCompleted)
    expect(most).toBeLessThanOrEqual(3)
  })

  it('parks a saga whose undo fails, with an alert in the outbox, and goes on with the others', async () => {
    const definition = errand(
      async (key) => {
        if (key.startsWith(sagaIdOf('errand', 'bad'))) throw new Error('no\0pe')
      },
      { failing: true },
    )
    run(definition)
    await begin(definition, 'bad', 'good')
    const parked = await shown('bad', (state) => state === 'COMPENSATION_FAILED')
    await shown('good', isCompleted)
    expect(parked.timeline.at(-1)).toMatchObject({
      step: 'go',
      what: 'compensation failed',
      error: 'cannot be undone',
    })
    const { rows } = await pool.query('select type, data from embudo.saga_outbox')
    expect(rows).toEqual([{ type: 'system_alert', data: expect.objectContaining({ severity: 'critical' }) }])
  })

  it('lets go of what it cannot finish when it is stopped', async () => {
    const isCalled = Promise.withResolvers<void>()
    let called = 0
    const definition = errand(async (_key, signal) => {
      if (++called > 1) return
      isCalled.resolve()
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('cut'))))
    })
    await begin(definition, 'S')
    const first = new Runner({
      pool,
      runnables: [{ definition, ports: {} }],
      appender: { check: () => {} },
      logger: pino({ level: 'fatal' }),
      random: () => 0.5,
      maxInFlight: 1,
      leaseMs: 500,
      pollMs: 20,
      onSettled: () => {},
      observe: () => () => {},
    })
    // Stopped at once: it claims nothing more, its own saga neither.
    await isCalled.promise
    await first[Symbol.asyncDispose]()
    const { rows } = await pool.query('select due_at <= clock_timestamp() as free from embudo.sagas')
    expect(rows).toEqual([{ free: true }])
    run(definition)
    await shown('S', isCompleted)
  })
})

describe('the list of sagas', () => {
  it('is read page by page, the latest first, and filtered', async () => {
    const definition = errand(async () => {})
    for (const subject of ['A', 'B', 'C']) await begin(definition, subject)
    const first = await listSagas(pool, { limit: 2 })
    expect(first.items.map(({ subject }) => subject)).toEqual(['C', 'B'])
    const second = await listSagas(pool, { limit: 2, cursor: first.nextCursor! })
    expect(second.items.map(({ subject }) => subject)).toEqual(['A'])
    expect(second.nextCursor).toBeNull()
    expect((await listSagas(pool, { subject: 'B', state: 'RUNNING', type: 'errand' })).items).toHaveLength(1)
    await expect(listSagas(pool, { cursor: 'x' })).rejects.toMatchObject({ code: 'bad_cursor' })
    await expect(listSagas(pool, { state: 'GONE' })).rejects.toMatchObject({ code: 'bad_parameter' })
  })
})
