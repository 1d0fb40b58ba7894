import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { raiseEpoch } from '../../../src/consumer/positions.ts'
import { letterOf, parkLetters } from '../../../src/dead-letter/letters.ts'
import { completenessConcern, watchCompleteness } from '../../../src/projection/completeness-watch.ts'
import { beginGeneration } from '../../../src/projection/generations.ts'
import { measureCompleteness, measureProjections } from '../../../src/projection/metrics.ts'
import { type Reader, type Reconciliation, reconcile } from '../../../src/projection/reconcile.ts'
import { createMetrics } from '../../../src/telemetry/metrics.ts'
import { counting, history, leads, ledger } from './models.ts'
import { append, applied, eventually, makeDatabase, makeLog, soleOwner, startProjector } from './world.ts'

let database: Awaited<ReturnType<typeof makeDatabase>>
beforeAll(async () => {
  database = await makeDatabase(inject('parts').databaseUrl)
})
afterAll(() => database[Symbol.asyncDispose]())

type Story = Awaited<ReturnType<typeof makeLog>>

const now = () => new Date()
const partsOf = ({ log, topic }: Story, name: string, kind: Reader['kind'] = 'read model') => ({
  ...{ pool: database.pool, log, now },
  readers: [{ name, kind, topics: [topic] }],
})

const sumOf = (
  { items }: Reconciliation,
  of: 'appended' | 'read' | 'applied' | 'notOfInterest' | 'duplicates' | 'deadLettered' | 'pending',
) => items.reduce((sum, item) => sum + item[of], 0)

const mismatches = ({ items }: Reconciliation) =>
  items.flatMap(({ partition, mismatches }) =>
    mismatches.map(({ code, records }) => `${partition}: ${records} ${code}`),
  )

/** A projection that has read all of its log. */
const settled = async (name: string, seed: number, events = 300) => {
  const story = await makeLog()
  const happened = await append(story.log, story.topic, history(seed, events))
  {
    await using _ = await startProjector({ ...story, pool: database.pool, projections: [ledger(name)] })
    await applied({ ...story, pool: database.pool }, name)
  }
  return { ...story, happened }
}

const tamper = (name: string, change: string) =>
  database.pool.query(
    `update embudo.positions set ${change} where reader = $1 and partition = (
       select min(partition) from embudo.positions where reader = $1 and next_offset > 0)`,
    [name],
  )

describe('completeness', () => {
  it('tells what became of every record, as the log and a naive fold have it', async () => {
    const story = await settled('ledger_whole', 11)
    const found = await reconcile(partsOf(story, 'ledger_whole'))

    expect(found).toMatchObject({ addsUp: true, notCounted: null })
    expect(found.items).toHaveLength(leads.partitions)
    const counted = counting(story.happened)
    const ignored = counted.filter(({ type }) => type === 'content_consumed')
    expect(sumOf(found, 'appended')).toBe(story.happened.length)
    expect(sumOf(found, 'read')).toBe(story.happened.length)
    expect(sumOf(found, 'duplicates')).toBe(story.happened.length - counted.length)
    expect(sumOf(found, 'notOfInterest')).toBe(ignored.length)
    expect(sumOf(found, 'applied')).toBe(counted.length - ignored.length)
    expect(sumOf(found, 'duplicates')).toBeGreaterThan(0)
  })

  it('adds up in every answer while events come and are applied', async () => {
    const { pool } = database
    const story = await makeLog()
    await using _ = await startProjector({ ...story, pool, projections: [ledger('ledger_busy')] })
    let isLooking = true
    const writing = (async () => {
      for (let seed = 100; isLooking; seed++) await append(story.log, story.topic, history(seed, 5))
    })()
    try {
      for (let looks = 0; looks < 50; looks++) {
        expect(mismatches(await reconcile(partsOf(story, 'ledger_busy')))).toEqual([])
      }
    } finally {
      isLooking = false
      await writing
    }
    await applied({ ...story, pool }, 'ledger_busy')
    expect(sumOf(await reconcile(partsOf(story, 'ledger_busy')), 'pending')).toBe(0)
  })

  it('has everything pending where nobody has begun', async () => {
    const story = await makeLog()
    const happened = await append(story.log, story.topic, history(17, 50))
    const found = await reconcile(partsOf(story, 'saga:nobody', 'saga'))
    expect(found.addsUp).toBe(true)
    expect(sumOf(found, 'pending')).toBe(happened.length)
    expect(sumOf(found, 'read')).toBe(0)
  })

  it('looks at a generation that is being built as well, and at none that is retired', async () => {
    const story = await settled('ledger_built', 19)
    await beginGeneration(database.pool, 'ledger_built', 1, 300)
    const states = async () =>
      new Set(
        (await reconcile(partsOf(story, 'ledger_built'))).items.map(
          ({ generation, state }) => `${generation} ${state}`,
        ),
      )
    expect(await states()).toEqual(new Set(['1 live', '2 building']))
    await database.pool.query(
      `update embudo.generations set state = 'retired' where projection = 'ledger_built' and generation = 2`,
    )
    expect(await states()).toEqual(new Set(['1 live']))
  })

  it('keeps to the topic and projection asked for, and knows no others', async () => {
    const story = await settled('ledger_asked', 21, 20)
    const parts = partsOf(story, 'ledger_asked')
    expect((await reconcile(parts, { projection: 'ledger_asked', topic: story.topic })).items).toHaveLength(3)
    await expect(reconcile(parts, { projection: 'nope' })).rejects.toMatchObject({
      code: 'unknown_projection',
    })
    await expect(reconcile(parts, { topic: 'nope' })).rejects.toMatchObject({ code: 'unknown_topic' })
  })
})

describe('what does not add up is found', () => {
  it.each([
    ['applied = applied - 1', '1 records_unaccounted'],
    ['duplicates = duplicates + 2', '2 records_counted_twice'],
    ['next_offset = next_offset - 1', '1 records_counted_twice'],
    ['dead_lettered = 1, applied = applied - 1', '1 dead_letters_differ'],
  ])('where a position says %s', async (change, expected) => {
    const name = `ledger_${change.replaceAll(/\W+/g, '_')}`
    const story = await settled(name, 23)
    await tamper(name, change)
    const found = await reconcile(partsOf(story, name))
    expect(found.addsUp).toBe(false)
    expect(mismatches(found)).toEqual([expect.stringMatching(new RegExp(`^\\d: ${expected}$`))])
  })

  it('where a dead letter is gone', async () => {
    const story = await settled('ledger_letter', 29)
    const of = { reader: 'ledger_letter', generation: 1, topic: story.topic }
    const place = story.happened.at(-1)!
    await using reader = story.log.reader()
    for await (const { records } of reader.read(
      story.topic,
      place.partition,
      place.offset,
      new AbortController().signal,
    )) {
      const letter = letterOf(records[0]!, place.type, new Error('no fold for it'))
      await parkLetters(database.pool, { ...of, partition: place.partition }, [letter])
      break
    }
    await database.pool.query(
      `update embudo.positions set dead_lettered = 1, applied = applied - 1 where reader = $1 and partition = $2`,
      [of.reader, place.partition],
    )
    const parked = await reconcile(partsOf(story, 'ledger_letter'))
    expect(mismatches(parked)).toEqual([])
    expect(sumOf(parked, 'deadLettered')).toBe(1)

    await database.pool.query(`delete from embudo.dead_letters where reader = 'ledger_letter'`)
    const found = await reconcile(partsOf(story, 'ledger_letter'))
    expect(mismatches(found)).toEqual([`${place.partition}: 1 dead_letters_differ`])
  })

  it('where the log has lost its beginning before it was read, and where it was made again', async () => {
    const story = await makeLog()
    const { log, topic } = story
    const happened = await append(log, topic, history(31, 60))
    const { partition } = happened[0]!
    const mine = { reader: 'ledger_lost', generation: 1, topic, partition }
    await raiseEpoch(database.pool, mine, 0)
    log.faults.trim(topic, partition, 4)
    expect(mismatches(await reconcile(partsOf(story, 'ledger_lost')))).toEqual([
      `${partition}: 4 log_beginning_lost`,
    ])
    const again = await settled('ledger_again', 37, 60)
    again.log.faults.recreate(again.topic)
    const found = mismatches(await reconcile(partsOf(again, 'ledger_again')))
    expect(found.every((text) => text.endsWith('log_end_lost'))).toBe(true)
    expect(found.length).toBeGreaterThan(0)
  })
})

describe('the watch over completeness', () => {
  it('tells of a hole in the log of the program, in metrics and to every process, until it is gone', async () => {
    const { pool } = database
    const story = await settled('ledger_watched', 41)
    const lines: { msg: string }[] = []
    const logger = pino({ level: 'info' }, { write: (line: string) => lines.push(JSON.parse(line)) })
    const said = (what: string) => lines.filter(({ msg }) => msg.startsWith(what)).map(({ msg }) => msg)
    const metrics = createMetrics('worker')
    let looks = 0
    const counted = () => {
      looks++
      return new Date()
    }
    await using watch = watchCompleteness({
      ...partsOf(story, 'ledger_watched'),
      ...{ pool, logger, membership: soleOwner(), everyMs: 10, now: counted },
      countStored: async () => [],
    })
    measureCompleteness(metrics, watch)
    const concern = (isSo: (text: string | undefined) => boolean) =>
      eventually(() => completenessConcern(pool, 10), isSo)
    const holes = async () =>
      [...(await metrics.registry.metrics()).matchAll(/^embudo_reconciliation_holes\{.*\} (\d+)$/gm)].map(
        ([, value]) => Number(value),
      )
    await eventually(
      async () => watch.last(),
      (last) => last !== undefined,
    )
    await eventually(holes, (values) => values.join() === '0,0,0')
    const hasApplied =
      /^embudo_reconciliation_records\{projection="ledger_watched",topic="t\d+.leads",outcome="applied",.*\} [1-9]/m
    await eventually(
      () => metrics.registry.metrics(),
      (text) => hasApplied.test(text),
    )

    await tamper('ledger_watched', 'applied = applied - 3')
    const told = await concern((text) => text !== undefined)
    expect(told).toMatch(/ledger_watched \(generation 1\) in .*leads:\d: of 3 records that were read/)
    await eventually(holes, (values) => values.toSorted().join() === '0,0,3')
    const before = looks
    await eventually(
      async () => looks,
      (now) => now > before + 2,
    )
    expect(said('does not add up')).toEqual([expect.stringContaining('does not add up: ledger_watched')])

    await tamper('ledger_watched', 'applied = applied + 3')
    await concern((text) => text === undefined)
    await eventually(holes, (values) => values.join() === '0,0,0')
    expect(said('adds up again')).toEqual([expect.stringContaining('adds up again: ledger_watched')])
  })

  it('says so where nobody has looked for long, and not what was found then', async () => {
    const { pool } = database
    const lookedAgo = (ago: string) =>
      pool.query(
        `insert into embudo.reconciliation (at, mismatches) values (now() - $1::interval, '[]')
         on conflict (is_the_one) do update set at = excluded.at, mismatches = excluded.mismatches`,
        [ago],
      )
    await lookedAgo('1 second')
    expect(await completenessConcern(pool, 15_000)).toBeUndefined()
    await lookedAgo('3 minutes')
    expect(await completenessConcern(pool, 15_000)).toMatch(/nobody has looked since/)
  })

  it('rests where another process watches', async () => {
    const story = await settled('ledger_resting', 43, 20)
    const mine = { ...soleOwner(), ownsDuty: () => isMine }
    let isMine = true
    const logger = pino({ level: 'silent' })
    await using watch = watchCompleteness({
      ...partsOf(story, 'ledger_resting'),
      ...{ pool: database.pool, logger, membership: mine, everyMs: 5, countStored: async () => [] },
    })
    await eventually(
      async () => watch.last(),
      (last) => last !== undefined,
    )
    isMine = false
    await eventually(
      async () => watch.last(),
      (last) => last === undefined,
    )
  })
})

it('metrics tell how projections stand, their dead letters, and a rebuild that differs', async () => {
  const { pool } = database
  const story = await settled('sales_measured', 47, 20)
  await beginGeneration(pool, 'sales_measured', 1, 20)
  await pool.query(
    `update embudo.generations set verified = '{"rows": 20, "differences": 2}' where projection = $1 and generation = 2`,
    ['sales_measured'],
  )
  const columns = `reader, generation, topic, partition, "offset", subject, headers, appended_at_ms, cause, state`
  await pool.query(
    `insert into embudo.dead_letters (${columns})
     select 'sales_measured', g, $1, 0, o, 'L-1', '{}', 0, 'poison', s
     from (values (1, 1, 'open'), (1, 2, 'open'), (1, 3, 'applied'), (2, 1, 'open')) as l (g, o, s)`,
    [story.topic],
  )
  const position = { topic: story.topic, partition: 0, lag: 7, state: 'stalled', oldestUnappliedSeconds: 90 }
  const listed = { name: 'sales_measured', positions: [position], rebuild: { state: 'replaying' } }
  let looks = 0
  const metrics = createMetrics('worker')
  const list = async () => {
    looks++
    return [listed]
  }
  measureProjections(metrics, list, pool)
  const text = await metrics.registry.metrics()
  const value = (series: string) =>
    new RegExp(`^${series.replaceAll(/[{}.]/g, '\\$&').replace('\\}', '.*\\}')} (.*)$`, 'm').exec(text)?.[1]
  const of = 'projection="sales_measured"'
  const place = `${of},topic="${story.topic}",partition="0"`
  expect(value(`embudo_projection_lag_records{${place}}`)).toBe('7')
  expect(value(`embudo_projection_oldest_unapplied_seconds{${place}}`)).toBe('90')
  expect(value(`embudo_projection_partitions{${of},state="stalled"}`)).toBe('1')
  expect(value(`embudo_projection_partitions{${of},state="failed"}`)).toBe('0')
  expect(value(`embudo_projection_rebuild{${of},state="replaying"}`)).toBe('1')
  expect(value(`embudo_dead_letters{${of},state="open"}`)).toBe('2')
  expect(value(`embudo_dead_letters{${of},state="applied"}`)).toBe('1')
  expect(value(`embudo_projection_rebuild_differences{${of}}`)).toBe('2')
  expect(looks).toBe(1)
})
