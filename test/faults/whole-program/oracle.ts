import { expect } from 'vitest'
import type { RunFile } from '../../../src/run-file.ts'
import { until } from '../../processes.ts'
import { type LogRecord, readLog } from './log-reader.ts'
import { foldProfiles, profileOf } from './profiles.ts'
import { Stores } from './stores.ts'

/**
 * Waits until nothing is under way, then holds the stores against the log, which an independent consumer reads:
 * every record is in ClickHouse exactly once, and every row of lead_profile is what a naive fold makes of it.
 */
export const expectExactlyOnce = async (run: RunFile): Promise<LogRecord[]> => {
  await using stores = new Stores(run)
  await untilQuiet(run, stores)
  const records = await readLog(run)
  await expectInClickhouseOnce(records, stores)
  await expectProfiles(records, stores)
  return records
}

/** Nothing is behind the log, and no saga will append to it any more. */
export const untilQuiet = async (run: RunFile, stores: Stores, patienceMs = 120_000): Promise<void> => {
  let last = ''
  await until(
    'every projection has caught up and every saga has ended',
    async () => {
      const { items } = await projections(run)
      const failed = items.flatMap((item) => item.positions).filter(({ error }) => error !== null)
      if (failed.length > 0) throw new Error(`stopped: ${JSON.stringify(failed)}`)
      const [open] = await stores.postgres<{ open: string }>(
        `select (select count(*) from embudo.sagas where ended_at is null)
           + (select count(*) from embudo.saga_outbox)
           + (select count(*) from sandbox.payments where tell_at is not null) as open`,
      )
      const ends = JSON.stringify(items.map(({ positions }) => positions.map(({ end }) => end)))
      const isQuiet = open?.open === '0' && items.every(({ lag }) => lag === 0) && ends === last
      last = ends
      return isQuiet
    },
    patienceMs,
  )
}

export const expectProfiles = async (records: readonly LogRecord[], stores: Stores): Promise<void> => {
  const rows = await stores.postgres('select * from lead_profile')
  const found = new Map(rows.map((row) => [String(row.lead_id), profileOf(row)]))
  const expected = foldProfiles(records)
  expect(found.size).toBe(rows.length)
  expect(found.size).toBe(expected.size)
  const different = [...expected].filter(([leadId, profile]) => {
    const row = found.get(leadId)
    return row === undefined || JSON.stringify(sorted(row)) !== JSON.stringify(sorted(profile))
  })
  expect(different.slice(0, 3).map(([leadId, profile]) => [found.get(leadId), profile])).toEqual([])
  const [sum] = await stores.postgres('select coalesce(sum(events), 0)::integer as events from lead_profile')
  expect(sum?.events).toBe(records.filter(({ topic }) => topic === 'embudo.leads').length)
}

/** JSON in the order of the currencies' names. */
const sorted = <P extends { revenue: Record<string, number> }>(profile: P): P => ({
  ...profile,
  revenue: Object.fromEntries(Object.entries(profile.revenue).toSorted()),
})

export const expectInClickhouseOnce = async (
  records: readonly LogRecord[],
  stores: Stores,
): Promise<void> => {
  const [counted] = await stores.clickhouse<Record<string, string>>(
    'SELECT toString(count()) AS rows, toString(uniqExact(_topic, _partition, _offset)) AS places FROM events',
  )
  expect(counted).toEqual({ rows: String(records.length), places: String(records.length) })
  const rows = await stores.clickhouse<{ place: string; id: string; type: string }>(
    `SELECT concat(_topic, ':', toString(_partition), ':', toString(_offset)) AS place,
       _event_id AS id, _type AS type FROM events`,
  )
  const byPlace = new Map(rows.map((row) => [row.place, row]))
  const missing = records.filter(({ topic, partition, offset, id, type }) => {
    const row = byPlace.get(`${topic}:${partition}:${offset}`)
    return row?.id !== id || row.type !== type
  })
  expect(missing.slice(0, 3)).toEqual([])
}

interface Projections {
  readonly items: readonly {
    readonly name: string
    readonly lag: number
    readonly positions: readonly { readonly end: number; readonly error: string | null }[]
  }[]
}

const projections = async ({ http }: RunFile): Promise<Projections> => {
  const response = await fetch(`${http}/api/projections`)
  if (!response.ok) throw new Error(`/api/projections: ${response.status} ${await response.text()}`)
  return (await response.json()) as Projections
}
