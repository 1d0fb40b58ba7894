import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import type { Log } from '../../../src/log/port.ts'
import { projectionsConcern } from '../../../src/projection/failures.ts'
import { listGenerations } from '../../../src/projection/generations.ts'
import { expectedLedger, history, ledger, readLedger } from './models.ts'
import {
  append,
  applied,
  eventually,
  lossyPool,
  makeDatabase,
  makeLog,
  onceThere,
  operator,
  showing,
  startProjector,
  told,
} from './world.ts'

let database: Awaited<ReturnType<typeof makeDatabase>>
beforeAll(async () => {
  database = await makeDatabase(inject('parts').databaseUrl)
})
afterAll(() => database[Symbol.asyncDispose]())

let cases = 0
const makeCase = async () => {
  const made = await makeLog()
  const name = `looked_${++cases}`
  const at = { ...made, pool: database.pool, projections: [ledger(name)] }
  const told_ = () => told(at, name)
  return {
    ...at,
    name,
    next: { ...at, projections: [ledger(name, 2)] },
    operator: operator(at),
    told: told_,
    isApplied: () => applied(at, name),
    ...showing(at, name),
    generations: async () =>
      (await listGenerations(database.pool)).filter((each) => each.projection === name),
    fails: (error: string, of: string) =>
      database.pool.query('update embudo.generations set error = $2, error_of = $3 where projection = $1', [
        ...[name, error, of],
      ]),
  }
}

/**
 * As the log, whose ends cannot be seen now and then from when that is asked for: at ever longer distances, so that no
 * one kind of work meets it three times running.
 */
const blinking = (log: Log) => {
  const state = { blinks: false, looks: 0 }
  const bounds: Log['bounds'] = async (topic) => {
    if (state.blinks && Number.isInteger(Math.sqrt(++state.looks + 3))) throw new Error('away for a moment')
    return await log.bounds(topic)
  }
  const seen = new Proxy(log, {
    get(target, name) {
      if (name === 'bounds') return bounds
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  return { log: seen, state }
}

describe('a generation that cannot be looked after', () => {
  it('now and then is not shown as failed', async () => {
    const at = await makeCase()
    await append(at.log, at.topic, history(991, 200))
    const { log, state } = blinking(at.log)
    await using _ = await startProjector({ ...at, log, batchRecords: 10 })
    await at.isApplied()
    await at.operator.rebuild(at.name, { maxPerSecond: 1 })
    await at.rebuildIs('replaying')
    state.blinks = true
    await eventually(
      async () => state.looks,
      (looks) => looks > 60,
    )
    expect((await at.told()).rebuild).toMatchObject({ state: 'replaying', error: null })
  })

  it('by a process that has died is not shown as failed where another one can', async () => {
    const at = await makeCase()
    await using _ = await startProjector(at)
    await at.fails('no disk', 'nobody')
    await eventually(at.told, ({ state, generations }) => state === 'live' && generations[0]?.error === null)
  })

  it('by a process that lives is shown as failed whoever else can', async () => {
    const at = await makeCase()
    await at.pool.query(
      `insert into embudo.workers (id, seen_at) values ('other', now() + interval '1 hour') on conflict do nothing`,
    )
    let looks = 0
    const counted = lossyPool(at.pool, (sql) => {
      if (sql.includes('from embudo.generations where dropped_at is null')) looks++
      return undefined
    })
    await using _ = await startProjector({ ...at, pool: counted })
    await at.fails('no disk', 'other')
    const before = looks
    await eventually(
      async () => looks,
      (now) => now > before + 3,
    )
    expect(await at.told()).toMatchObject({ state: 'failed' })
    expect(await projectionsConcern(at.pool)).toContain(`${at.name} (generation 1): no disk`)
  })
})

describe('a new version of a projection whose topic has lost its beginning', () => {
  it('is shown as failed, what else there is to do is done, and it is rebuilt from the rest where forced', async () => {
    const at = await makeCase()
    const happened = await append(at.log, at.topic, history(993, 120))
    {
      await using _ = await startProjector(at)
      await at.isApplied()
      await at.operator.rebuild(at.name)
      await at.liveIs(2)
    }
    const starts = new Map<number, number>()
    for (const { partition, end } of await at.log.bounds(at.topic)) {
      at.log.faults.trim(at.topic, partition, end - 5)
      starts.set(partition, end - 5)
    }
    await using _ = await startProjector({ ...at.next, keepPreviousMs: 0 })
    const failed = await eventually(
      () => told(at.next, at.name),
      ({ state, generations }) =>
        state === 'failed' && generations.every((each) => each.state !== 'previous'),
    )
    expect(failed.generations.find(({ state }) => state === 'live')?.error).toContain('begins at offset')
    const next = operator(at.next)
    await expect(next.rebuild(at.name)).rejects.toMatchObject({ code: 'log_beginning_lost' })

    await next.rebuild(at.name, { force: true, switchesItself: false })
    const { rebuild } = await eventually(
      () => told(at.next, at.name),
      (item) => item.rebuild?.state === 'caught up',
    )
    expect(rebuild).toMatchObject({ percent: 100, error: null })
    expect(await onceThere(() => next.switch(at.name))).toMatchObject({ generation: 3, version: 2 })
    const left = happened.filter(({ partition, offset }) => offset >= starts.get(partition)!)
    expect(await readLedger(at.pool, at.name)).toEqual(expectedLedger(left))
    const { state, generations } = await told(at.next, at.name)
    expect(state).toBe('live')
    expect(generations.map(({ error }) => error)).toEqual(generations.map(() => null))
  })
})

describe('a rest', () => {
  it('of a rebuild ends where it becomes what is read', async () => {
    const at = await makeCase()
    await append(at.log, at.topic, history(995, 60))
    await using _ = await startProjector(at)
    await at.isApplied()
    await at.operator.rebuild(at.name, { switchesItself: false })
    await at.rebuildIs('caught up')
    await at.operator.pause(at.name)
    expect(await onceThere(() => at.operator.switch(at.name))).toMatchObject({ generation: 2, paused: false })
    await append(at.log, at.topic, history(996, 60))
    await at.isApplied()
  })

  it('of what was read ends for the previous one too', async () => {
    const at = await makeCase()
    await append(at.log, at.topic, history(997, 60))
    await using _ = await startProjector(at)
    await at.isApplied()
    await at.operator.pause(at.name)
    await at.operator.rebuild(at.name)
    await at.liveIs(2)
    expect((await at.generations()).map(({ paused }) => paused)).toEqual([true, false])
    await at.operator.resume(at.name)
    expect((await at.generations()).map(({ paused }) => paused)).toEqual([false, false])
  })
})

describe('a generation', () => {
  it('is not said to be behind where a reader is in the way of a switch', async () => {
    const at = await makeCase()
    await append(at.log, at.topic, history(998, 60))
    await using _ = await startProjector(at)
    await at.isApplied()
    await at.operator.rebuild(at.name, { switchesItself: false })
    await at.rebuildIs('caught up')
    const reader = await at.pool.connect()
    await reader.query(`begin; select from public.${at.name} limit 1`)
    await expect(at.operator.switch(at.name)).rejects.toMatchObject({
      ...{ code: 'switch_disturbed', retriable: true },
    })
    const switching = at.operator.switch(at.name)
    // Longer than one try waits.
    await delay(1_200)
    await reader.query('commit')
    reader.release()
    expect(await switching).toMatchObject({ generation: 2, state: 'live' })
  })

  it('to go back to says why a partition of it has stopped', async () => {
    const at = await makeCase()
    await append(at.log, at.topic, history(999, 60))
    await using _ = await startProjector(at)
    await at.isApplied()
    await at.operator.rebuild(at.name)
    await at.liveIs(2)
    await at.pool.query(
      `update embudo.partition_status set state = 'failed', error = 'another log' where reader = $1 and generation = 1 and partition = 1`,
      [at.name],
    )
    expect((await at.told()).generations).toMatchObject([
      { state: 'previous', error: 'another log' },
      { state: 'live', error: null },
    ])
  })
})
