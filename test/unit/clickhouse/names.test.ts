import type { ClickHouseClient } from '@clickhouse/client'
import type { Pool } from 'pg'
import { pino } from 'pino'
import { expect, it } from 'vitest'
import { keepNames } from '../../../src/projection/clickhouse/names.ts'

it('that cannot be looked after are told of once, and again when they can', async () => {
  const lines: string[] = []
  const logger = pino({ base: null }, { write: (line) => void lines.push(line) })
  let [asked, isThere] = [0, false]
  const query = async () => {
    asked++
    if (!isThere) throw new Error('away')
    return { rows: [] }
  }
  const parts = { pool: { query } as unknown as Pool, clickhouse: {} as ClickHouseClient, logger }
  await using _ = keepNames({ ...parts, catalog: { topics: [], events: new Map() } }, 'events', 1, 1)
  const askedTwiceMore = () => {
    const target = asked + 2
    return expect.poll(() => asked, { timeout: 10_000, interval: 1 }).toBeGreaterThanOrEqual(target)
  }
  for (const there of [false, true, false]) {
    isThere = there
    await askedTwiceMore()
  }
  expect(lines.map((line) => JSON.parse(line).level)).toEqual([40, 30, 40])
})
