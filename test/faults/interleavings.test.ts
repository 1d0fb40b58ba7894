import { stderr } from 'node:process'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { prepareGeneration } from '../../src/projection/postgres/prepare.ts'
import { tableOf, viewSql } from '../../src/projection/postgres/table.ts'
import { makeDatabase } from '../integration/projection/world.ts'
import { type ExploreOptions, everyOrder, type Rewrite, type Scenario, unnoticed } from './every-order.ts'
import {
  counter,
  foldTrails,
  type History,
  makeLive,
  projector,
  release,
  repair,
  takeOver,
  totals,
  trails,
} from './position-writers.ts'
import { extent } from './whole-program/extent.ts'
import { seeded } from './whole-program/seeded.ts'

let database: Awaited<ReturnType<typeof makeDatabase>>
beforeAll(async () => {
  database = await makeDatabase(inject('parts').databaseUrl)
  for (const generation of [1, 2])
    await prepareGeneration(database.pool, trails, tableOf(trails, generation), false)
  await prepareGeneration(database.pool, totals, tableOf(totals, 1), false)
})
afterAll(() => database[Symbol.asyncDispose]())

const query = async <Row extends object>(sql: string, values: unknown[] = []): Promise<Row[]> =>
  (await database.pool.query<Row>(sql, values)).rows

interface Beginning {
  /** By generation: how far it has come; its rows are those of the naive fold up to there. */
  readonly positions: Readonly<Record<number, number>>
  /** Rows of the first generation that are not what they should be. */
  readonly damaged?: Readonly<Record<string, string>>
  /** Offsets that are parked already. */
  readonly parked?: readonly number[]
}

const begin =
  (history: History, { positions, damaged = {}, parked = [] }: Beginning) =>
  async (): Promise<void> => {
    const trail = Object.entries(positions).map(([generation, nextOffset]) => {
      const rows = { ...foldTrails(history, nextOffset, parked), ...damaged }
      const pairs = Object.entries(rows).map(([key, text]) => `('${key}', '${text}')`)
      const position = `insert into embudo.positions (reader, generation, topic, partition, next_offset, epoch, mark, applied, dead_lettered)
        values ('trails', ${generation}, 'leads', 0, ${nextOffset}, 1, '', ${nextOffset - parked.length}, ${parked.length});`
      return pairs.length === 0
        ? position
        : `${position} insert into embudo.trails_${generation} (key, trail) values ${pairs.join()};`
    })
    const letters = parked.map(
      (offset) =>
        `insert into embudo.dead_letters (reader, generation, topic, partition, "offset", subject, headers, appended_at_ms, cause)
         values ('trails', 1, 'leads', 0, ${offset}, '${history[offset]!.key}', '{}', 0, 'poison');`,
    )
    // One round trip: there are thousands of orders.
    await query([...tables.map((table) => `delete from embudo.${table};`), ...trail, ...letters].join('\n'))
  }

const tables = ['positions', 'generations', 'dead_letters', 'trails_1', 'trails_2', 'totals_1']

/** Somebody takes what is left; then each row must be the naive fold's, and what became of each record be counted. */
const isWhole =
  (history: History, generation = 1) =>
  async (): Promise<string | undefined> => {
    await projector({ history, generation, batch: history.length, again: 0 })(database.pool)
    const rows = await query<{ key: string; trail: string }>(
      `select key, trail from embudo.trails_${generation}`,
    )
    const found = Object.fromEntries(rows.map(({ key, trail }) => [key, trail]))
    const [counts] = await query(
      `select next_offset - origin - applied - ignored - duplicates - dead_lettered - markers as missing
     from embudo.positions where reader = 'trails' and generation = $1`,
      [generation],
    )
    const isRight = isSame(found, foldTrails(history)) && isSame(counts, { missing: '0' })
    return isRight ? undefined : JSON.stringify({ found, expected: foldTrails(history), counts })
  }

const isSame = (found: unknown, expected: unknown): boolean => {
  try {
    expect(found).toEqual(expected)
    return true
  } catch {
    return false
  }
}

/** Of three writers there are thousands of orders: a push draws some of them, and the long form tries each. */
const drawn = extent({ full: undefined, short: { orders: 100, random: seeded(3) } })

const expectEveryOrderRight = async (
  name: string,
  scenario: Scenario,
  options: ExploreOptions = {},
): Promise<void> => {
  const begun = performance.now()
  const { orders, wrong } = await everyOrder(database.url, scenario, options)
  stderr.write(`${name}: ${orders} orders in ${(performance.now() - begun).toFixed(0)} ms\n`)
  expect(wrong.slice(0, 2)).toEqual([])
  expect(orders).toBeGreaterThan(10)
}

/** Without what guards it, one of the same orders must go wrong: else they would prove nothing. */
const expectAWrongOrder = async (scenario: Scenario, rewrite: Rewrite): Promise<void> => {
  const { wrong } = await everyOrder(database.url, scenario, { rewrite, untilWrong: true })
  expect(wrong).toHaveLength(1)
}

const withoutEpoch: Rewrite = (sql) => sql.replace(', p.epoch)', ')').replace(', m.epoch)', ')')
const withoutFence: Rewrite = (sql) =>
  withoutEpoch(sql).replace(', p.next_offset)', ')').replace(', m.expected_offset)', ')')
const withoutMoved: Rewrite = (sql) => sql.replaceAll('r.nth in (select nth from moved)', 'true')
const raising = /^update embudo\.positions set epoch = epoch \+ 1\s/
const withoutLock: Rewrite = (sql) =>
  sql
    .replace(/^(select next_offset.*) for update$/s, '$1')
    .replace(
      /^update embudo\.positions set epoch = epoch \+ 1\s+where (.*) (returning .*)$/s,
      'select next_offset, epoch, mark from embudo.positions where $1',
    )
const withoutRaising: Rewrite = (sql) => sql.replace(raising, 'update embudo.positions set epoch = epoch ')

/** Where nobody parks anything, a look at what is parked meets nobody either. */
const nothingParked = new RegExp(`${unnoticed.source}|from embudo\\.dead_letters`, 'i')

describe('every order of the steps of', { timeout: 300_000 }, () => {
  const history: History = [{ key: 'a' }, { key: 'a' }, { key: 'b' }, { key: 'a' }]

  describe('a projector at work and a repair', () => {
    const damaged = { a: ' damaged' }
    const scenario: Scenario = {
      writers: {
        projector: projector({
          ...{ history, batch: 1, again: 1 },
          running: { nextOffset: 1, rows: damaged },
        }),
        repair: repair(history, 'a'),
      },
      reset: begin(history, { positions: { 1: 1 }, damaged }),
      unnoticed: nothingParked,
      check: isWhole(history),
    }
    it('leaves the repaired row with all that came after it', () =>
      expectEveryOrderRight('projector, repair', scenario))
    it('would not, if the epoch were not looked at', () => expectAWrongOrder(scenario, withoutEpoch))
    it('would not, if the repair did not lock the position', () => expectAWrongOrder(scenario, withoutLock))
    it('would not, if the repair did not raise the epoch', () => expectAWrongOrder(scenario, withoutRaising))
  })

  describe('two projectors that both take the partition', () => {
    const twoBatches: History = [{ key: 'a' }, { key: 'a' }, { key: 'a' }]
    const scenario: Scenario = {
      writers: {
        one: projector({ history: twoBatches, batch: 2, again: 1 }),
        other: projector({ history: twoBatches, batch: 2, again: 0 }),
      },
      reset: begin(twoBatches, { positions: {} }),
      unnoticed: nothingParked,
      check: isWhole(twoBatches),
    }
    it('applies each record once, in order', () => expectEveryOrderRight('two projectors', scenario))
    it('would not, if neither epoch nor offset were looked at', () =>
      expectAWrongOrder(scenario, withoutFence))
  })

  describe('two counters that both take the partition', () => {
    const scenario: Scenario = {
      writers: { one: counter(history, 2, 1), other: counter(history, 2, 0) },
      reset: begin(history, { positions: {} }),
      check: async () => {
        await counter(history, 4, 0)(database.pool)
        const found = await query('select key, total from embudo.totals_1 order by key')
        const expected = [
          { key: 'a', total: '3' },
          { key: 'b', total: '1' },
        ]
        return isSame(found, expected) ? undefined : JSON.stringify(found)
      },
    }
    it('counts each record once', () => expectEveryOrderRight('two counters', scenario))
    it('would not, if counts did not hang on the position', () => expectAWrongOrder(scenario, withoutMoved))
  })

  describe('a projector at work, a repair and a take-over', () => {
    const damaged = { a: ' damaged' }
    const short = history.slice(0, 3)
    const scenario: Scenario = {
      writers: {
        projector: projector({
          ...{ history: short, batch: 2, again: 1 },
          running: { nextOffset: 1, rows: damaged },
        }),
        repair: repair(short, 'a'),
        other: takeOver,
      },
      reset: begin(short, { positions: { 1: 1 }, damaged }),
      unnoticed: nothingParked,
      check: isWhole(short),
    }
    it('leaves the repaired row with all that came after it', () =>
      expectEveryOrderRight('projector, repair, take-over', scenario, { drawn }))
    it('would not, if the epoch were not looked at', () => expectAWrongOrder(scenario, withoutEpoch))
  })

  describe('a projector at work and two releases of the same dead letters', () => {
    const parked = [0, 1]
    const later: History = [{ key: 'a' }, { key: 'a' }, { key: 'b' }, { key: 'a' }]
    const running = { nextOffset: 2, rows: {}, parked: ['a'] }
    const scenario: Scenario = {
      writers: {
        projector: projector({ history: later, batch: 1, again: 1, running }),
        release: release('a'),
        'release again': release('a'),
      },
      reset: begin(later, { positions: { 1: 2 }, parked }),
      // What the projector parked behind them is released once more.
      check: async () => {
        await projector({ history: later, batch: 4, again: 0 })(database.pool)
        await release('a')(database.pool)
        return await isWhole(later)()
      },
    }
    it('applies each letter once, in order', () =>
      expectEveryOrderRight('projector, two releases', scenario, { drawn }))
    it('would not, if a release did not seize the position', () => expectAWrongOrder(scenario, withoutLock))
  })

  describe('a switch, the projector of the old generation and that of the new', () => {
    const positions = { 1: 3, 2: 2 }
    let least = 0
    let before: string | undefined
    let switchedAt: string | undefined
    let switchedInTime = 0
    const writers: Scenario['writers'] = {
      switch: makeLive(1, 2),
      old: projector({ history, batch: 1, again: 1, running: runningAt(3) }),
      new: projector({ history, generation: 2, batch: 1, again: 0, running: runningAt(2) }),
    }
    function runningAt(nextOffset: number) {
      return { nextOffset, rows: foldTrails(history, nextOffset) }
    }
    /** Whether it has switched, and where both were when it did. */
    const look = async (): Promise<void> => {
      const [now] = await query<{ state: string; places: string }>(
        `select (select state from embudo.generations where generation = 2) as state,
           (select string_agg(next_offset::text, ' ' order by generation) from embudo.positions) as places`,
      )
      // As it was before the switch's last step: once that has let go of the positions, the old one is fed on.
      if (now?.state === 'live') switchedAt ??= before
      before = now?.places
    }
    const scenario: Scenario = {
      writers,
      reset: async () => {
        await begin(history, { positions })()
        await query(
          `insert into embudo.generations (projection, generation, version, state) values ('trails', 1, 1, 'live'), ('trails', 2, 1, 'building')`,
        )
        await query('drop view if exists public.trails')
        await query(viewSql(trails, tableOf(trails, 1)))
        least = 0
        before = undefined
        switchedAt = undefined
      },
      // What readers do not see moves what they do not see: only these meet the feeding of generations.
      unnoticed: new RegExp(`${unnoticed.source}|embudo\\.(generations|dead_letters)`, 'i'),
      between: async () => {
        await look()
        const records = await recordsRead()
        if (records < least) return `a reader saw ${records} records after ${least}`
        if (Number.isFinite(records)) least = records
        return undefined
      },
      check: async () => {
        if (switchedAt !== undefined) switchedInTime++
        else {
          // Its patience of two seconds is by the clock: it is asked again, as the manager does.
          await makeLive(1, 2)(database.pool)
          await look()
        }
        if (switchedAt === undefined) return 'it did not switch'
        const [old = 0, now = 0] = switchedAt.split(' ').map(Number)
        if (now < old) return `live at ${now}, and the one before it was at ${old}`
        return (await isWhole(history, 1)()) ?? (await isWhole(history, 2)())
      },
    }
    it('switches to one that is nowhere behind, and no reader goes back in time', async () => {
      const rewrite: Rewrite = (sql) => sql.replace(`lock_timeout = '1s'`, `lock_timeout = '60s'`)
      await expectEveryOrderRight('switch, old, new', scenario, { drawn, rewrite })
      expect(switchedInTime).toBeGreaterThan(0)
    })
    it('would not, if the old positions were not locked', () =>
      expectAWrongOrder(scenario, (sql) =>
        /embudo\.positions .* for update/.test(sql) ? sql.replace(' for update', '') : sql,
      ))
    it('would not, if the new generation were not waited for', () =>
      expectAWrongOrder(scenario, (sql) =>
        sql.replace('coalesce(sum(greatest(0, a.next_offset - coalesce(b.next_offset, a.origin))), 0)', '0'),
      ))
  })
})

/** By whoever reads the view; infinitely many where the switch holds it at that moment, and a reader would wait. */
const recordsRead = async (): Promise<number> => {
  const client = await database.pool.connect()
  try {
    await client.query(`begin; set local lock_timeout = '5ms'`)
    const { rows } = await client.query<{ records: number }>(
      `select count(*)::integer as records
       from (select regexp_split_to_table(trim(trail), ' ') from public.trails) as records`,
    )
    return rows[0]!.records
  } catch (error) {
    if ((error as { code?: string }).code !== '55P03') throw error
    return Number.POSITIVE_INFINITY
  } finally {
    await client.query('rollback')
    client.release()
  }
}
