import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import type { Corrections, Decided } from '../../../src/dead-letter/correction.ts'
import { noCorrections } from '../../../src/dead-letter/corrections.ts'
import { listLetters, showLetter } from '../../../src/dead-letter/list.ts'
import { eventTables } from '../../../src/define/event-tables.ts'
import { ensureEventTables } from '../../../src/projection/clickhouse/tables.ts'
import { mayDecide } from '../../../src/projection/decided-rows.ts'
import { letterRelease } from '../../../src/projection/letters.ts'
import { eventually, until } from '../../processes.ts'
import {
  catalog,
  codec,
  incompatibleSchema,
  newCodec,
  openWorld,
  Story,
  unreachableSchema,
  type World,
} from './sink-world.ts'

const events = eventTables({ name: 'events', version: 1 })

/** A schema that is known, and bytes that end before it says. */
const truncated = codec.encode('webinar_attended', attendance('L-0')).subarray(0, 12)
const unframed = Buffer.from('{"leadId":"L-0"}')
const ofNoEvent = framed(123_456)
const ofItsNameOnly = framed(incompatibleSchema)
const ofAnotherTopic = codec.encode('content_validated', { contentId: 'C', scores: {} })
const mended = codec.encode('webinar_attended', attendance('L-0'))

describe('dead letters of the tables of events', () => {
  let world: World
  beforeAll(async () => {
    world = await openWorld(inject('parts'))
    await ensureEventTables(world.clickhouse, catalog, 2)
  })
  afterAll(async () => {
    await world[Symbol.asyncDispose]()
  })

  it('are what cannot become a row, whatever is wrong with it, and all other records go on', async () => {
    const story = new Story(world)
    await story.append(60)
    const [, end = 0] = (await story.log.bounds(story.topic)).map((bounds) => bounds.end)
    for (const value of [truncated, unframed, ofNoEvent, ofAnotherTopic, ofItsNameOnly])
      await story.appendValue(1, value)
    await story.append(60)
    await using worker = story.start()
    await story.untilRead()
    expect(await story.counts()).toEqual({ rows: 120, places: 120 })
    expect(await story.accounts()).toEqual({ applied: 120, deadLettered: 5, unaccounted: 0 })
    expect(worker.lasting).toEqual([])
    const letter = { generation: 1, partition: 1, state: 'open', attempts: 1, settled: false }
    expect(await story.letters()).toEqual([
      { ...letter, offset: end, type: 'webinar_attended', code: 'record_malformed' },
      { ...letter, offset: end + 1, type: null, code: 'record_malformed' },
      { ...letter, offset: end + 2, type: null, code: 'schema_unknown' },
      { ...letter, offset: end + 3, type: 'content_validated', code: 'record_malformed' },
      { ...letter, offset: end + 4, type: null, code: 'schema_foreign' },
    ])
  })

  it('become rows once they are mended and retried, also where nothing else comes in', async () => {
    const story = new Story(world)
    await story.appendOnce(30)
    await story.appendValue(1, truncated)
    await story.appendValue(1, unframed)
    await using worker = story.start()
    await story.untilRead()
    await story.retryLetters(new Map([[10, mended]]))
    const letters = await eventually(
      () => story.letters(),
      (all) => all.map(({ state }) => state).join() === 'applied,open',
    )
    expect(letters).toMatchObject([
      { offset: 10, attempts: 1, settled: true },
      { offset: 11, attempts: 2, settled: false },
    ])
    expect(await story.counts()).toEqual({ rows: 31, places: 31 })
    expect(await story.accounts()).toEqual({ applied: 31, deadLettered: 1, unaccounted: 0 })
    expect(await story.positions()).toEqual([10, 12, 10])
    expect(worker.lasting).toEqual([])
  })

  it('are parked whatever text their headers hold', async () => {
    const story = new Story(world)
    await story.appendOnce(30)
    await story.appendValue(1, unframed, 1, [['ce_type', 'a\0b']])
    await using worker = story.start()
    await story.untilRead()
    expect(await story.letters()).toMatchObject([{ offset: 10, type: 'a\ufffdb' }])
    expect(worker.lasting).toEqual([])
  })

  it('keep their own bytes beside the edit that becomes their row', async () => {
    const story = new Story(world)
    await story.appendOnce(30)
    await story.appendValue(1, unframed)
    await using _ = story.start()
    await story.untilRead()
    const { pool } = world
    const release = (by: Corrections) =>
      letterRelease({ pool, codec, corrections: by, projections: [events] })
    const parked = { reader: 'events', generation: 1, topic: story.topic, partition: 1 }
    const edited = decisions([[10, { decision: 'edited', value: mended }]])
    // Somebody else has decided, and it is not known here yet.
    await pool.query(`update embudo.dead_letters set decision = 'd-10' where topic = $1`, [story.topic])
    await release(noCorrections)({ ...parked, offset: 10, subject: 'L-0' })
    expect(await story.letters()).toMatchObject([{ state: 'open' }])
    await release(edited)({ ...parked, offset: 10, subject: 'L-0' })
    await firstIsApplied(story)
    expect(await story.counts()).toEqual({ rows: 31, places: 31 })
    const { items } = await listLetters(pool, { topic: story.topic, state: 'applied', limit: 10 })
    expect((await showLetter(pool, items[0]!.id)).value).toEqual(unframed)
  })

  it('are not decided about where another generation has the row already', async () => {
    const story = new Story(world)
    await story.appendOnce(30)
    for (let times = 0; times < 2; times++) await story.appendValue(2, truncated)
    const { pool } = world
    const may = mayDecide({ pool, projections: [events] })
    const decided = { reader: 'events', topic: story.topic, partition: 2, subject: 'L-0' }
    await using generations = new AsyncDisposableStack()
    generations.defer(async () => {
      await pool.query('delete from embudo.generations')
    })
    await pool.query(
      `insert into embudo.generations (projection, generation, version, state)
       values ('events', 1, 1, 'live'), ('events', 2, 1, 'building')`,
    )
    await using _ = story.start()
    await using _other = story.start({
      generation: 2,
      corrections: decisions([[10, { decision: 'edited', value: mended }]]),
    })
    await Promise.all([story.untilRead(), story.untilRead(2)])
    await expect(may({ ...decided, offset: 10 })).rejects.toMatchObject({ code: 'letter_applied_elsewhere' })
    await may({ ...decided, offset: 11 })
  })

  it('are decided once: a rebuild reads what was edited and passes over what was discarded', async () => {
    const story = new Story(world)
    await story.appendOnce(30)
    for (let times = 0; times < 3; times++) await story.appendValue(2, truncated)
    const corrections = decisions([
      [10, { decision: 'edited', value: mended }],
      [11, { decision: 'discarded' }],
      [12, { decision: 'edited', value: unframed }],
    ])
    await using _ = story.start({ generation: 2, corrections })
    await story.untilRead(2)
    expect(await story.counts(2)).toEqual({ rows: 31, places: 31 })
    expect(await story.accounts(2)).toEqual({ applied: 31, deadLettered: 2, unaccounted: 0 })
    // As many letters as are counted, or reconcile would tell of a difference for ever.
    expect(await story.letters()).toMatchObject([
      { generation: 2, offset: 11, state: 'discarded' },
      { generation: 2, offset: 12, state: 'open' },
    ])
  })

  it('are no answer to a topic that is wrong as a whole: the partition stops, and parks nothing more', async () => {
    const story = new Story(world)
    await story.appendOnce(900)
    await story.appendValue(1, truncated, 1_200)
    await using worker = story.start()
    await until('the partition has stopped', () => worker.lasting.length > 0)
    expect(worker.lasting).toMatchObject([{ code: 'too_many_poisoned', retriable: false }])
    const others = async () => (await story.positions()).filter((_, partition) => partition !== 1)
    await eventually(others, (positions) => positions.join() === '300,300')
    const [, reached = 0] = await story.positions()
    // What was read before the batch that had too many is written, and no half of that batch is.
    expect(await story.letters()).toHaveLength(Math.max(0, reached - 300))
    expect(await story.counts()).toEqual({
      rows: 600 + Math.min(300, reached),
      places: 600 + Math.min(300, reached),
    })
  })

  it('are not made of what passes: a registry that is away is waited for', async () => {
    const story = new Story(world)
    await story.appendOnce(30)
    let isThere = false
    await using worker = story.start({ codec: newCodec(() => isThere) })
    await story.untilRead()
    await story.appendValue(0, framed(unreachableSchema))
    const tries = () => worker.errors.filter((error) => codeOf(error) === 'registry_unavailable').length
    await until('it is asked again and again', () => tries() > 2)
    expect(await story.positions()).toEqual([10, 10, 10])
    expect(await story.letters()).toEqual([])
    isThere = true
    await story.untilRead()
    expect(await story.letters()).toMatchObject([{ offset: 10, code: 'schema_unknown' }])
  })

  it('stay what they are when a position is set back to the beginning', async () => {
    const story = new Story(world)
    await story.appendOnce(60)
    await story.appendValue(0, truncated)
    await story.appendValue(0, truncated)
    {
      await using _ = story.start()
      await story.untilRead()
      await story.retryLetters(new Map([[20, mended]]))
      await firstIsApplied(story)
    }
    await story.setBack(0)
    await using _ = story.start()
    await story.untilRead()
    expect(await story.counts()).toEqual({ rows: 61, places: 61 })
    expect(await story.accounts()).toEqual({ applied: 61, deadLettered: 1, unaccounted: 0 })
    expect((await story.letters()).map(({ state }) => state)).toEqual(['applied', 'open'])
  })
})

const firstIsApplied = (story: Story) =>
  eventually(
    async () => (await story.letters())[0]?.state,
    (state) => state === 'applied',
  )

const codeOf = (error: unknown): unknown => (error as { code?: unknown }).code

function attendance(leadId: string) {
  return { leadId, webinarId: 'W-1', attendanceDuration: 60, engagementScore: null }
}

function framed(schemaId: number): Buffer {
  const value = Buffer.alloc(16)
  value.writeInt32BE(schemaId, 1)
  return value
}

const decisions = (by: readonly (readonly [offset: number, Decided])[]): Corrections => {
  const known = new Map(by.map(([offset, decided]) => [offset, { ...decided, id: `d-${offset}` }]))
  return { size: known.size, of: (_reader, _topic, _partition, offset) => known.get(offset) }
}
