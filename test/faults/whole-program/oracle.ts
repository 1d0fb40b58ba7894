import { expect } from 'vitest'
import type { RunFile } from '../../../src/run-file.ts'
import { until } from '../../processes.ts'
import { withoutDuplicates } from './duplicates.ts'
import { type LogRecord, readLog } from './log-reader.ts'
import { foldProfiles, profileOf } from './profiles.ts'
import { Stores } from './stores.ts'
import { foldWebinars, webinarOf } from './webinars.ts'

/**
 * Waits until nothing is under way, then holds the stores against the log, which an independent consumer reads:
 * every record that is no duplicate is in ClickHouse exactly once, and no other; every row of lead_profile and of
 * webinar_stats is what a naive fold makes of them. Answers with the whole log, duplicates included.
 */
export const expectExactlyOnce = async (run: RunFile): Promise<LogRecord[]> => {
  await using stores = new Stores(run)
  await untilQuiet(run, stores)
  const records = await readLog(run)
  const counting = withoutDuplicates(records)
  await expectInClickhouseOnce(counting, stores)
  await expectProfiles(counting, stores)
  await expectWebinars(counting, stores)
  return records
}

/** Nothing is behind the log, sagas neither, and no saga will append to it any more. */
export const untilQuiet = async (run: RunFile, stores: Stores, patienceMs?: number): Promise<void> => {
  let last = ''
  await until(
    'every projection has caught up and every saga has ended',
    async () => {
      const items = await projections(run)
      if (items === undefined) return false
      // One that waits after a passing fault goes on by itself.
      const failed = items.flatMap(({ positions }) => positions).filter(({ state }) => state === 'failed')
      if (failed.length > 0) throw new Error(`stopped: ${JSON.stringify(failed)}`)
      // In one statement: what a saga has been told, and that it is open, are one transaction.
      const [sagas] = await stores.postgres<{ open: string; places: string[] }>(
        `select (select count(*) from embudo.sagas where ended_at is null)
           + (select count(*) from embudo.saga_outbox)
           + (select count(*) from sandbox.payments where tell_at is not null) as open,
           array(select concat_ws(':', topic, partition, next_offset)
             from embudo.positions where reader like 'saga:%') as places`,
      )
      const all = items.flatMap(({ positions }) => positions)
      const ends = JSON.stringify(all.map(({ end }) => end))
      const places = new Set(all.map(({ topic, partition, end }) => `${topic}:${partition}:${end}`))
      const isQuiet =
        items.every(({ lag }) => lag === 0) &&
        sagas?.open === '0' &&
        sagas.places.every((place) => places.has(place)) &&
        ends === last
      last = ends
      return isQuiet
    },
    patienceMs,
  )
}

/** `records`: of the topic of leads at least, those that count; of the leads that are looked at. */
export const expectProfiles = async (
  records: readonly LogRecord[],
  stores: Stores,
  isLookedAt: (leadId: string) => boolean = () => true,
): Promise<void> => {
  const rows = (await stores.postgres('select * from lead_profile')).filter((row) =>
    isLookedAt(String(row.lead_id)),
  )
  const found = new Map(rows.map((row) => [String(row.lead_id), profileOf(row)]))
  const expected = foldProfiles(records)
  expect(found.size).toBe(rows.length)
  expect(found.size).toBe(expected.size)
  const different = [...expected].filter(([leadId, profile]) => {
    const row = found.get(leadId)
    return row === undefined || JSON.stringify(sorted(row)) !== JSON.stringify(sorted(profile))
  })
  expect(different.slice(0, 3).map(([leadId, profile]) => [found.get(leadId), profile])).toEqual([])
  const events = rows.reduce((sum, row) => sum + Number(row.events), 0)
  expect(events).toBe(records.filter(({ topic }) => topic === 'embudo.leads').length)
}

/** JSON in the order of the currencies' names. */
const sorted = <P extends { revenue: Record<string, number> }>(profile: P): P => ({
  ...profile,
  revenue: Object.fromEntries(Object.entries(profile.revenue).toSorted()),
})

export const expectWebinars = async (records: readonly LogRecord[], stores: Stores): Promise<void> => {
  const rows = await stores.postgres('select * from webinar_stats order by webinar_id')
  const found = Object.fromEntries(rows.map((row) => [String(row.webinar_id), webinarOf(row)]))
  expect(found).toEqual(Object.fromEntries(foldWebinars(records)))
}

export const expectInClickhouseOnce = async (
  records: readonly LogRecord[],
  stores: Stores,
): Promise<void> => {
  const [counted] = await stores.clickhouse<Record<string, string>>(
    'SELECT toString(count()) AS rows, toString(uniqExact(_topic, _partition, _offset)) AS places FROM events',
  )
  expect(counted).toEqual({ rows: String(records.length), places: String(records.length) })
  for (const [partition, expected] of Map.groupBy(records, ({ partition }) => partition)) {
    const rows = await stores.clickhouse<{ place: string; id: string; type: string }>(
      `SELECT concat(_topic, ':', toString(_offset)) AS place, _event_id AS id, _type AS type
       FROM events WHERE _partition = ${partition}`,
    )
    const byPlace = new Map(rows.map((row) => [row.place, row]))
    const missing = expected.filter(({ topic, offset, id, type }) => {
      const row = byPlace.get(`${topic}:${offset}`)
      return row?.id !== id || row.type !== type
    })
    expect(missing.slice(0, 3)).toEqual([])
  }
}

interface ProjectionItem {
  readonly name: string
  readonly state: string
  readonly lag: number
  readonly rebuild: { readonly percent: number } | null
  readonly positions: readonly {
    readonly topic: string
    readonly partition: number
    readonly lag: number
    readonly end: number
    readonly state: string
    readonly error: string | null
  }[]
}

/** Undefined where it cannot say now, as when one of its parts has just been killed: to be asked again. */
export const projections = async ({
  http,
}: Pick<RunFile, 'http'>): Promise<readonly ProjectionItem[] | undefined> => {
  try {
    const response = await fetch(`${http}/api/projections`)
    const { items } = (await response.json()) as { items: readonly ProjectionItem[] }
    return response.ok ? items : undefined
  } catch {
    return undefined
  }
}
