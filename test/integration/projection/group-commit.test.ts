import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest'
import { type Position, raiseEpoch, seizePosition } from '../../../src/consumer/positions.ts'
import type { NewLetter } from '../../../src/dead-letter/letters.ts'
import { transaction } from '../../../src/postgres/transaction.ts'
import { GroupCommit } from '../../../src/projection/postgres/group-commit.ts'
import { prepareGeneration } from '../../../src/projection/postgres/prepare.ts'
import { tableOf } from '../../../src/projection/postgres/table.ts'
import { fewRows, type Write } from '../../../src/projection/postgres/write.ts'
import { totals, trails } from '../../faults/position-writers.ts'
import { lossyPool, makeDatabase } from './world.ts'

let database: Awaited<ReturnType<typeof makeDatabase>>
const tables = { trails: tableOf(trails, 1), totals: tableOf(totals, 1) }
beforeAll(async () => {
  database = await makeDatabase(inject('parts').databaseUrl)
  await prepareGeneration(database.pool, trails, tables.trails, false)
  await prepareGeneration(database.pool, totals, tables.totals, false)
})
afterAll(() => database[Symbol.asyncDispose]())

let statements: string[] = []
let commits: Record<keyof typeof tables, GroupCommit>
let positions: Position[] = []
beforeEach(async () => {
  await database.pool.query(
    'delete from embudo.positions; delete from embudo.trails_1; delete from embudo.totals_1',
  )
  const counting = lossyPool(database.pool, (sql) => {
    statements.push(sql)
    return undefined
  })
  commits = {
    trails: new GroupCommit(counting, tables.trails),
    totals: new GroupCommit(counting, tables.totals),
  }
  positions = []
  for (let partition = 0; partition < 4; partition++) {
    const of = { reader: 'trails', generation: 1, topic: 'leads', partition }
    positions.push(await raiseEpoch(database.pool, of, 10))
  }
  statements = []
})

const to = (position: Position, records: number): Write['to'] => ({
  nextOffset: position.nextOffset + records,
  mark: `m${position.partition}`,
  counts: { applied: records, ignored: 0, duplicates: 0, deadLettered: 0, markers: 0 },
})

/** Inserts a row named for the partition, or so many. */
const inserting = (position: Position, rows = 1): Write => {
  const inserted = Array.from({ length: rows }, (_, row) => ({
    key: `${position.partition}.${row}`,
    trail: 'x',
  }))
  return { position, to: to(position, rows), letters: [], changes: { inserted, updated: [], deleted: [] } }
}

const stored = async () => {
  const { rows } = await database.pool.query<{ key: string; trail: string }>(
    'select key, trail from embudo.trails_1 order by key',
  )
  return Object.fromEntries(rows.map(({ key, trail }) => [key, trail]))
}

const places = async () =>
  (
    await database.pool.query<{ at: string }>(
      `select concat_ws(' ', next_offset, mark, applied, dead_lettered) as at from embudo.positions order by partition`,
    )
  ).rows.map(({ at }) => at)

describe('small batches of several partitions', () => {
  it('are one statement, each with its own position', async () => {
    const moved = await Promise.all(positions.map((position) => commits.trails.write(inserting(position))))
    expect(moved.map(({ nextOffset, mark }) => [nextOffset, mark])).toEqual(
      positions.map(({ partition }) => [11, `m${partition}`]),
    )
    expect(await places()).toEqual(['11 m0 1 0', '11 m1 1 0', '11 m2 1 0', '11 m3 1 0'])
    expect(await stored()).toEqual({ '0.0': 'x', '1.0': 'x', '2.0': 'x', '3.0': 'x' })
    expect(statements).toHaveLength(1)
  })

  it('insert, update, delete, count and park, each what is its own', async () => {
    await Promise.all(positions.slice(0, 3).map((position) => commits.trails.write(inserting(position))))
    const now = positions.map((position) => ({ ...position, nextOffset: 11, mark: `m${position.partition}` }))
    const [first, second, third, fourth] = now as [Position, Position, Position, Position]
    const none = { inserted: [], updated: [], deleted: [] }
    const letter: NewLetter = {
      ...{ offset: 11, subject: 's', type: undefined, key: null, value: null, headers: {}, appendedAtMs: 0 },
      ...{ cause: 'poison', code: 'fold_failed', error: 'no', state: 'open' },
    }
    const writes: Write[] = [
      {
        ...inserting(first),
        changes: { ...none, inserted: [{ key: 'new', trail: 'n' }], updated: [{ key: '0.0', trail: 'y' }] },
      },
      { ...inserting(second), changes: { ...none, deleted: ['1.0'] } },
      {
        ...inserting(third),
        changes: none,
        letters: [letter],
        to: { ...to(third, 1), counts: { ...to(third, 0).counts, deadLettered: 1 } },
      },
      inserting({ ...fourth, nextOffset: 10 }),
    ]
    statements = []
    await Promise.all(writes.map((write) => commits.trails.write(write)))
    expect(await stored()).toEqual({ '0.0': 'y', '2.0': 'x', '3.0': 'x', new: 'n' })
    const { rows } = await database.pool.query(
      'select reader, generation, topic, partition, "offset", subject, code from embudo.dead_letters',
    )
    expect(rows).toEqual([
      {
        ...{ reader: 'trails', generation: 1, topic: 'leads', partition: 2, offset: '11' },
        ...{ subject: 's', code: 'fold_failed' },
      },
    ])
    expect(statements).toHaveLength(1)

    const counted = await Promise.all(
      [first, second].map((position) =>
        commits.totals.write({
          ...inserting({ ...position, nextOffset: 12 }),
          changes: { counted: [{ key: 'k', _partition: position.partition, total: 5 }] },
        }),
      ),
    )
    expect(counted.map(({ nextOffset }) => nextOffset)).toEqual([13, 13])
    const sums = await database.pool.query(
      'select key, total, _partition from embudo.totals_1 order by _partition',
    )
    expect(sums.rows.map((row) => Object.values(row as object))).toEqual([
      ['k', '5', 0],
      ['k', '5', 1],
    ])
  })

  it("go on where one of the partitions is another owner's by now", async () => {
    await seizePosition(database.pool, positions[2]!)
    const outcomes = await Promise.allSettled(positions.map((each) => commits.trails.write(inserting(each))))
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled'])
    expect(outcomes[2]).toMatchObject({ reason: { code: 'position_moved' } })
    expect(await stored()).toEqual({ '0.0': 'x', '1.0': 'x', '3.0': 'x' })
    expect(await places()).toEqual(['11 m0 1 0', '11 m1 1 0', '10  0 0', '11 m3 1 0'])
  })

  it.each([
    ['moves then', false, 'fulfilled'],
    ['is refused if that was a repair', true, 'rejected'],
  ])('do not wait for one whose position somebody has locked: it %s', async (_, raises, expected) => {
    const locked = Promise.withResolvers<void>()
    const isThrough = Promise.withResolvers<void>()
    const holding = transaction(database.pool, async (client) => {
      await client.query('set local idle_in_transaction_session_timeout = 0')
      await client.query('select from embudo.positions where partition = 1 for update')
      if (raises) await seizePosition(client, positions[1]!)
      locked.resolve()
      await isThrough.promise
    })
    await locked.promise
    const writing = positions.map((each) => commits.trails.write(inserting(each)))
    let isSettled = false
    const waiting = Promise.allSettled([writing[1]]).then(([outcome]) => {
      isSettled = true
      return outcome!.status
    })
    for (const index of [0, 2, 3]) await writing[index]
    const later = inserting({ ...positions[0]!, nextOffset: 11, mark: 'm0' })
    await commits.trails.write({ ...later, changes: { inserted: [], updated: [], deleted: ['0.0'] } })
    expect(isSettled).toBe(false)
    isThrough.resolve()
    await holding
    expect(await waiting).toBe(expected)
    expect(await stored()).toEqual({ ...(raises ? {} : { '1.0': 'x' }), '2.0': 'x', '3.0': 'x' })
  })

  it('are written but for the one with a row that Postgres refuses', async () => {
    const bad: Write = {
      ...inserting(positions[1]!),
      changes: { inserted: [{ key: 'k', trail: null }], updated: [], deleted: [] },
    }
    const outcomes = await Promise.allSettled(
      positions.map((each) => commits.trails.write(each === positions[1] ? bad : inserting(each))),
    )
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled'])
    expect(outcomes[1]).toMatchObject({ reason: { code: '23502' } })
    expect(await places()).toEqual(['11 m0 1 0', '10  0 0', '11 m2 1 0', '11 m3 1 0'])
  })

  it('all fail where the connection is lost', async () => {
    const lost = new GroupCommit(
      lossyPool(database.pool, () => 'request'),
      tables.trails,
    )
    const outcomes = await Promise.allSettled(positions.map((each) => lost.write(inserting(each))))
    expect(outcomes.map(({ status }) => status)).toEqual(positions.map(() => 'rejected'))
  })

  it('are not held up by a large one, which goes alone', async () => {
    const large = fewRows + 1
    const moved = await Promise.all(
      positions.map((each) => commits.trails.write(inserting(each, each.partition === 0 ? large : 1))),
    )
    expect(moved.map(({ nextOffset }) => nextOffset)).toEqual([10 + large, 11, 11, 11])
    expect(statements).toHaveLength(2)
    expect(Object.keys(await stored())).toHaveLength(large + 3)
  })
})
