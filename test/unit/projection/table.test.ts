import { describe, expect, it } from 'vitest'
import leadProfile from '../../../projections/lead_profile/projection.ts'
import webinarStats from '../../../projections/webinar_stats/projection.ts'
import { createTableSql, quote, tableOf, viewSql } from '../../../src/projection/postgres/table.ts'

describe('a read model', () => {
  const table = tableOf(leadProfile, 3)

  it('has a table for each generation, keyed by the subject, compared by bytes', () => {
    expect(table.name).toBe('embudo."lead_profile_3"')
    expect(table.keys).toEqual([{ name: 'lead_id', quoted: '"lead_id"', type: 'text' }])
    const sql = createTableSql(leadProfile, table)
    expect(sql).toContain('"lead_id" text collate "C" not null')
    expect(sql).toContain('primary key ("lead_id")')
    expect(sql).toContain('"attendance_seconds" bigint not null default 0')
    expect(sql).toContain('"email" text')
  })

  it('knows the bare type of every column, for casts', () => {
    const types = Object.fromEntries(table.columns.map(({ name, type }) => [name, type]))
    expect(types).toMatchObject({
      email: 'text',
      revenue: 'jsonb',
      engagement_sum: 'double precision',
      first_seen_at: 'timestamptz',
    })
  })
})

describe('a tally', () => {
  const table = tableOf(webinarStats, 1)

  it('keeps a row for each key and partition', () => {
    expect(table.keys.map(({ name }) => name)).toEqual(['webinar_id', '_partition'])
    expect(createTableSql(webinarStats, table)).toContain('primary key ("webinar_id", "_partition")')
  })

  it('is combined by a view that does not show the partition', () => {
    const sql = viewSql(webinarStats, table)
    expect(sql).toContain('sum("attendances")::bigint as "attendances"')
    expect(sql).toContain('max("longest_seconds")::bigint as "longest_seconds"')
    expect(sql).toContain('group by "webinar_id"')
    expect(sql).not.toContain('_partition')
  })
})

describe('names', () => {
  it.each(['', 'Lead', 'lead-profile', 'x"; drop table y', 'a'.repeat(57), '1st'])('refuse %j', (name) => {
    expect(() => quote(name)).toThrow(expect.objectContaining({ code: 'bad_identifier' }))
  })

  it.each(['timestamptz', 'numeric'] as const)(
    'refuse a tally by a %s: one value of it has several texts',
    (type) => {
      const columns = { ...webinarStats.columns, webinar_id: `${type} primary key` as const }
      expect(() => tableOf({ ...webinarStats, columns }, 1)).toThrow(
        expect.objectContaining({ code: 'projection_key' }),
      )
    },
  )

  it('refuse a projection without a key', () => {
    expect(() => tableOf({ ...leadProfile, columns: { company: 'text' } }, 1)).toThrow(
      expect.objectContaining({ code: 'projection_key' }),
    )
  })
})
