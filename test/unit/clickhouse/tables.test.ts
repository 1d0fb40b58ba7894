import { describe, expect, it } from 'vitest'
import * as generated from '../../../schemas/events.generated.ts'
import { catalogOf, sendable } from '../../../src/define/catalog.ts'
import { linearizable, processesOf } from '../../../src/projection/clickhouse/cluster.ts'
import { dataColumns, metadataColumns, subjectField } from '../../../src/projection/clickhouse/columns.ts'
import { missingTables } from '../../../src/projection/clickhouse/tables.ts'

const catalog = catalogOf(generated)
const { events } = sendable(catalog)
const event = (type: string) => catalog.events.get(type)!
const whole = new Map([
  ['embudo_fence', new Set<string>()],
  ['events_g1', new Set<string>()],
  ...[...events.values()].map(
    (it) =>
      [`${it.type}_g1`, new Set([...metadataColumns, ...dataColumns(it)].map(({ name }) => name))] as const,
  ),
])

describe('the tables of events', () => {
  it('have no column for a personal field', () => {
    expect(dataColumns(event('lead_registered'))).toEqual([
      { name: 'leadId', type: 'String' },
      { name: 'company', type: 'Nullable(String)' },
      { name: 'source', type: 'Nullable(String)' },
    ])
    expect(missingTables(catalog, 1, new Map()).join('\n')).not.toMatch(/email|firstName|lastName/)
  })

  it('keep money exact, and other kinds as they are', () => {
    const types = (type: string) =>
      Object.fromEntries(dataColumns(event(type)).map((column) => [column.name, column.type]))
    expect(types('conversion_completed')).toMatchObject({ value: 'Decimal(18, 4)', currency: 'String' })
    expect(types('spend_recorded')).toMatchObject({ day: 'Date32' })
    expect(types('content_rejected')).toMatchObject({
      scores: 'Map(String, Float64)',
      reasons: 'Array(String)',
    })
    expect(types('webinar_attended')).toMatchObject({
      attendanceDuration: 'Int64',
      engagementScore: 'Nullable(Float64)',
    })
  })

  it('know whose an event is', () => {
    expect(subjectField(event('payment_failed')).name).toBe('leadId')
    expect(subjectField(event('webinar_attended')).name).toBe('leadId')
    expect(subjectField(event('content_published')).name).toBe('contentId')
  })

  it('are made once', () => {
    expect(missingTables(catalog, 1, new Map())).toHaveLength(events.size + 2)
    expect(missingTables(catalog, 1, whole)).toEqual([])
    expect(missingTables(catalog, 2, whole)).toHaveLength(events.size + 1)
  })

  it("are none of what is embudo's own, and such as are there go", () => {
    expect(missingTables(catalog, 1, new Map()).join('\n')).not.toContain('event_edited')
    const before = new Map(whole)
    for (const name of ['event_edited_g1', 'event_edited']) before.set(name, new Set())
    expect(missingTables(catalog, 1, before)).toEqual([
      'DROP TABLE IF EXISTS `event_edited_g1` SYNC',
      'DROP VIEW IF EXISTS `event_edited`',
    ])
  })

  it('get a column for each field that a schema has got since', () => {
    const before = new Map(whole)
    before.set(
      'webinar_attended_g1',
      new Set([...metadataColumns.map(({ name }) => name), 'leadId', 'webinarId', 'attendanceDuration']),
    )
    expect(missingTables(catalog, 1, before)).toEqual([
      'ALTER TABLE `webinar_attended_g1` ADD COLUMN IF NOT EXISTS `engagementScore` Nullable(Float64)',
    ])
  })

  // No cluster runs here: these are the statements as ClickHouse's documentation says them.
  it('are made on every replica of a cluster, and replicated', () => {
    const cluster = { name: 'main', path: '/clickhouse/tables/{shard}/{database}/{table}' }
    const statements = missingTables(catalog, 1, new Map(), cluster)
    expect(statements.every((statement) => statement.includes(' ON CLUSTER `main` ('))).toBe(true)
    expect(statements[0]).toContain(
      "ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', epoch)",
    )
    expect(statements.find((statement) => statement.includes('`lead_registered_g1`'))).toMatch(
      /ENGINE = ReplicatedMergeTree\('[^']+', '\{replica\}'\) ORDER BY .* SETTINGS replicated_deduplication_window = 1000, /,
    )
    expect(statements.join('\n')).not.toContain('non_replicated')
    const before = new Map(whole)
    before.set('webinar_attended_g1', new Set(['leadId']))
    expect(missingTables(catalog, 1, before, cluster)[0]).toMatch(
      /^ALTER TABLE `webinar_attended_g1` ON CLUSTER `main` ADD COLUMN/,
    )
  })

  it('are read and written by quorum on a cluster, and as ever without one', () => {
    expect(linearizable(undefined)).toEqual({})
    expect(linearizable({ name: 'main', path: '/x/{table}' })).toEqual({
      insert_quorum: 'auto',
      insert_quorum_parallel: 0,
      select_sequential_consistency: '1',
    })
    expect(processesOf({ name: "o'x", path: '' })).toBe("clusterAllReplicas('o\\'x', system.processes)")
  })
})
