import { afterAll, beforeAll, describe, expect, inject, it, vi } from 'vitest'
import * as generated from '../../../schemas/events.generated.ts'
import { catalogOf } from '../../../src/define/catalog.ts'
import { appendTimes } from '../../../src/projection/append-times.ts'
import { beginGeneration } from '../../../src/projection/generations.ts'
import { withMovement } from '../../../src/projection/movement.ts'
import { listProjections } from '../../../src/projection/queries.ts'
import { history, ledger } from './models.ts'
import { append, applied, eventually, makeDatabase, makeLog, member, startProjector } from './world.ts'

let database: Awaited<ReturnType<typeof makeDatabase>>
beforeAll(async () => {
  database = await makeDatabase(inject('parts').databaseUrl)
})
afterAll(() => database[Symbol.asyncDispose]())

const catalog = catalogOf(generated)

/** For one record, where the log is to say. */
const patienceMs = 60_000

describe('a projection in the list', () => {
  it('is live while it moves, stalled when it stands before events, and says how old the first one is', async () => {
    const { pool } = database
    const { log, prefix, topic } = await makeLog()
    const projection = ledger('ledger_stuck')
    let appendedAtMs = 0
    let aheadMs = 0
    const now = () => appendedAtMs + aheadMs
    const times = appendTimes(log, { patienceMs })
    const parts = { pool, log, catalog, prefix, projections: [projection], now: () => new Date() }
    const shown = async (stalledAfterMs = 30_000) => {
      const listed = await listProjections(parts)
      return (await withMovement(listed, { pool, appendTimes: times, stalledAfterMs, now }))[0]!
    }

    const isLive = async () => (await shown(200_000)).state === 'live'

    const membership = await member(pool, 'w-1')
    const projector = await startProjector({ log, prefix, pool, projections: [projection], membership })
    await append(log, topic, history(61, 50))
    await applied({ log, pool, topic }, 'ledger_stuck')
    expect(await shown()).toMatchObject({ state: 'live', lag: 0, oldestUnappliedSeconds: null })

    // As a worker that hangs: it lives, and nothing moves.
    await projector[Symbol.asyncDispose]()
    vi.useFakeTimers({ toFake: ['Date'] })
    appendedAtMs = Date.now()
    await append(log, topic, history(67, 20)).finally(() => vi.useRealTimers())
    aheadMs = 7_000
    expect(await shown()).toMatchObject({ state: 'live', lag: 20, oldestUnappliedSeconds: 7 })
    aheadMs = 95_000
    await pool.query(
      `update embudo.positions set moved_at = moved_at - interval '94 seconds' where topic = $1`,
      [topic],
    )
    const stuck = await shown()
    expect(stuck).toMatchObject({ state: 'stalled', oldestUnappliedSeconds: 95 })
    const behind = stuck.positions.filter(({ lag }) => lag > 0)
    expect(behind.length).toBeGreaterThan(0)
    expect(behind.map(({ state, oldestUnappliedSeconds: age }) => `${state} ${age}`)).toEqual(
      behind.map(() => 'stalled 95'),
    )
    await eventually(isLive, (is) => is)

    // Paused by an operator: it may stand.
    await pool.query(`update embudo.generations set paused = true where projection = 'ledger_stuck'`)
    expect((await shown()).state).toBe('paused')
    await pool.query(`update embudo.generations set paused = false where projection = 'ledger_stuck'`)

    // Nobody lives who owns it: the time of a hand-over is all that it gets.
    await eventually(isLive, (is) => is)
    await membership[Symbol.asyncDispose]()
    await pool.query(`insert into embudo.workers (id, seen_at) values ('w-1', now() - interval '9 seconds')`)
    expect(await shown(200_000)).toMatchObject({ state: 'stalled' })

    await using again = await member(pool, 'w-2')
    await using _ = await startProjector({ log, prefix, pool, projections: [projection], membership: again })
    await applied({ log, pool, topic }, 'ledger_stuck')
    await eventually(shown, ({ state }) => state === 'live')
  })
})

it('a rebuild that stands still is shown as stalled, and not when it has just begun', async () => {
  const { pool } = database
  const { log, prefix, topic } = await makeLog()
  const projection = ledger('ledger_half')
  const times = appendTimes(log, { patienceMs })
  const rebuild = async (aheadMs: number) => {
    const parts = { pool, log, catalog, prefix, projections: [projection], now: () => new Date() }
    const listed = await listProjections(parts)
    const now = () => Date.now() + aheadMs
    const [shown] = await withMovement(listed, { pool, appendTimes: times, stalledAfterMs: 30_000, now })
    return `${shown!.state}, ${shown!.rebuild?.state}`
  }
  await using membership = await member(pool, 'w-3')
  {
    await using _ = await startProjector({ log, prefix, pool, projections: [projection], membership })
    await append(log, topic, history(79, 40))
    await applied({ log, pool, topic }, 'ledger_half')
  }
  await beginGeneration(pool, 'ledger_half', 1, 40)
  const begun = (ago: string) =>
    pool.query(
      `update embudo.generations set created_at = now() - $1::interval where projection = 'ledger_half'`,
      [ago],
    )
  // As long as it takes until that is looked at.
  await begun('-10 minutes')
  expect(await rebuild(60_000)).toBe('rebuilding, replaying')
  await begun('1 minute')
  expect(await rebuild(60_000)).toBe('rebuilding, stalled')
  await pool.query(`update embudo.generations set paused = true where projection = 'ledger_half'`)
  expect(await rebuild(60_000)).toContain('paused')
})

describe('when records were appended', () => {
  it('is looked up once while a reader stands still, and for several readers of a partition', async () => {
    const { log, topic } = await makeLog()
    const happened = await append(log, topic, history(71, 30))
    const { partition } = happened[0]!
    const here = happened.filter((each) => each.partition === partition)
    let reads = 0
    let nowMs = 0
    const counted: Pick<typeof log, 'reader'> = {
      reader: (options) => {
        const reader = log.reader(options)
        return {
          read: (...place) => {
            reads++
            return reader.read(...place)
          },
          [Symbol.asyncDispose]: () => reader[Symbol.asyncDispose](),
        }
      },
    }
    const times = appendTimes(counted, { now: () => nowMs, patienceMs })
    const at = (reader: string, offset: number) => ({ reader, topic, partition, offset })
    const both = [at('one', 0), at('two', here.length - 1)]
    const first = await times(both)
    expect(first.every((time) => time !== undefined && Math.abs(time - Date.now()) < 60_000)).toBe(true)
    expect(await times(both)).toEqual(first)
    expect(reads).toBe(2)

    await times([at('one', 1)])
    expect(reads).toBe(2)
    nowMs = 5_000
    await times([at('one', 1)])
    expect(reads).toBe(3)
  })

  it('is not known where the log does not say in time, or has no such record', async () => {
    const { log, topic } = await makeLog()
    const [first] = await append(log, topic, history(73, 3))
    const times = appendTimes(log, { patienceMs: 50, freshMs: 0 })
    const place = { reader: 'one', topic, partition: first!.partition, offset: 0 }
    const letGo = log.faults.holdReads()
    expect(await times([place, { ...place, topic: 'none' }])).toEqual([undefined, undefined])
    letGo()
    // As little patience as it has, it comes to know once the log does not take longer.
    await eventually(
      () => times([place]),
      ([time]) => typeof time === 'number',
    )
    expect(await times([{ ...place, offset: 99 }])).toEqual([undefined])
  })
})
