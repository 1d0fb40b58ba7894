import { randomUUID } from 'node:crypto'
import type { Pool } from 'pg'
import { pino } from 'pino'
import { expect } from 'vitest'
import { corrections as correctionsTopic } from '../../../schemas/corrections/topic.ts'
import * as generated from '../../../schemas/events.generated.ts'
import {
  type CorrectionParts,
  type FollowedCorrections,
  readCorrections,
} from '../../../src/dead-letter/corrections.ts'
import { type Decision, type LetterDecisions, letterDecisions } from '../../../src/dead-letter/decide.ts'
import { encodeEdit } from '../../../src/dead-letter/edit.ts'
import { listLetters } from '../../../src/dead-letter/list.ts'
import { type SettlingParts, settleDecided } from '../../../src/dead-letter/settle.ts'
import { catalogOf, sendable, topicName } from '../../../src/define/catalog.ts'
import { json } from '../../../src/define/columns.ts'
import type { NewEvent } from '../../../src/define/event.ts'
import { readModel } from '../../../src/define/read-model.ts'
import { sum, tally } from '../../../src/define/tally.ts'
import { eventValidator } from '../../../src/ingest/validate.ts'
import { appendEvents } from '../../../src/log/event-appender.ts'
import { passThrough } from '../../../src/privacy/pass-through.ts'
import { mayDecide, mendDecided } from '../../../src/projection/decided-rows.ts'
import type { PostgresProjection } from '../../../src/projection/definition.ts'
import { letterRelease } from '../../../src/projection/letters.ts'
import { tableOf } from '../../../src/projection/postgres/table.ts'
import { leads } from './models.ts'
import { applied, codec, makeLog } from './world.ts'

const logger = pino({ level: 'silent' })
const catalog = catalogOf(generated)

/** Refuses a webinar POISON itself; a row cannot hold more seconds than an integer, nor 100,000 at once. */
export const attendance = (name: string, mended = false) =>
  readModel({
    name,
    version: 1,
    topic: leads,
    columns: {
      lead_id: 'text primary key',
      email: 'personal',
      seconds: 'integer not null default 0',
      longest: 'integer check (longest < 100000)',
      webinars: json<readonly string[]>('not null'),
    },
    initial: (leadId) => ({ lead_id: leadId, seconds: 0, webinars: [] }),
    evolve: {
      lead_registered: (row, { data }) => ({ ...row, email: data.email }),
      content_consumed: (row) => ({ ...row, seconds: 0, longest: null }),
      webinar_attended: (row, { data }) => {
        if (data.webinarId === 'POISON' && !mended) throw new Error('no such webinar')
        return {
          ...row,
          seconds: row.seconds + data.attendanceDuration,
          longest: Math.max(row.longest ?? 0, data.attendanceDuration),
          webinars: [...row.webinars, data.webinarId],
        }
      },
    },
  })

export const webinars = (name: string, mended = false) =>
  tally({
    name,
    version: 1,
    topic: leads,
    columns: { webinar_id: 'text primary key', seconds: 'integer not null default 0' },
    measures: { seconds: sum },
    count: {
      webinar_attended: ({ data }) => {
        if (data.webinarId === 'POISON' && !mended) throw new Error('no such webinar')
        return { webinar_id: data.webinarId, seconds: data.attendanceDuration }
      },
    },
  })

export const attended = (leadId: string, webinarId: string, attendanceDuration = 1): NewEvent => ({
  type: 'webinar_attended',
  time: '2026-11-20T10:00:00.000Z',
  data: { leadId, webinarId, attendanceDuration, engagementScore: null },
})

export const forgotten = (leadId: string): NewEvent => ({
  type: 'content_consumed',
  time: '2026-11-20T10:00:00.000Z',
  data: { leadId, contentId: 'C-1', contentType: 'video', consumptionTime: 1 },
})

export const dataOf = ({ data }: NewEvent) => ({ ...data }) as Readonly<Record<string, unknown>>

let cases = 0
export const makeCase = async (pool: Pool) => {
  const made = await makeLog()
  const { log, prefix, topic } = made
  const name = `attendance_${++cases}`
  const tallyName = `webinars_${cases}`
  await log.ensureTopics([
    { topic: topicName(prefix, correctionsTopic), partitions: 1, replication: 1, settings: {} },
  ])
  const projections: PostgresProjection[] = [attendance(name), webinars(tallyName)]

  const corrected = (options: Partial<CorrectionParts> = {}): Promise<FollowedCorrections> =>
    readCorrections({ log, codec, prefix, topic: correctionsTopic, logger, ...options })

  /** As the program joins it. */
  const decisionsWith = (
    corrections: FollowedCorrections,
    { release = letterRelease({ pool, codec, corrections, projections }), log: into = log } = {},
  ): LetterDecisions => {
    const appendAll = appendEvents(into, codec, catalog, prefix)
    const validator = eventValidator({
      ...{ catalog: sendable(catalog), personal: passThrough, nowMs: Date.now, newId: randomUUID },
    })
    return letterDecisions({
      ...{ pool, prefix, newId: () => randomUUID(), release },
      ...{ upToDate: () => corrections.upToDate(), mayDecide: mayDecide({ pool, projections }) },
      append: ({ type, id, data }: Decision) =>
        appendAll([{ type, id, data, source: 'embudo', time: new Date().toISOString() }]),
      learn: (reader, at, correction) =>
        corrections.learn(reader, at.topic, at.partition, at.offset, correction),
      encode: (letter, edit) =>
        encodeEdit(letter, edit, {
          ...{ codec, catalog, prefix },
          validate: (event) => validator(event, { source: 'test', traceparent: undefined }),
        }),
    })
  }
  /** As the worker joins it. */
  const settleWith = (
    corrections: FollowedCorrections,
    options: Partial<SettlingParts> = {},
  ): AsyncDisposable =>
    settleDecided({
      ...{ pool, corrections, logger, isMine: () => true, everyMs: 10, knownAfterMs: 0 },
      ...{ appendTimeoutMs: 60_000, release: letterRelease({ pool, codec, corrections, projections }) },
      mend: mendDecided({
        ...{ pool, codec, corrections, projections, log, signal: new AbortController().signal },
      }),
      ...options,
    })
  const lettersOf = async (projection: string) =>
    (await listLetters(pool, { projection, limit: 1_000 })).items
  return {
    ...{
      log,
      prefix,
      topic,
      pool,
      name,
      tallyName,
      projections,
      corrected,
      decisionsWith,
      settleWith,
      lettersOf,
    },
    isApplied: async () => {
      for (const one of projections) await applied({ log, pool, topic }, one.name)
    },
    /** Default: as it is read. */
    rows: async (generation?: number): Promise<Record<string, [seconds: number, webinars: string[]]>> => {
      const from = generation === undefined ? `public.${name}` : tableOf(projections[0]!, generation).name
      const { rows } = await pool.query(`select * from ${from} order by lead_id`)
      return Object.fromEntries(rows.map((row) => [row.lead_id, [row.seconds, row.webinars]]))
    },
    /** Every record that was read is in one of the counts, and the dead letters are as many as are counted. */
    expectCountsToAddUp: async () => {
      const { rows } = await pool.query(
        `select reader, generation, partition, next_offset - origin as read,
           applied + ignored + duplicates + dead_lettered + markers as counted, dead_lettered,
           (select count(*) from embudo.dead_letters d where d.reader = p.reader and d.generation = p.generation
             and d.topic = p.topic and d.partition = p.partition and d.state <> 'applied') as letters
         from embudo.positions p where topic = $1`,
        [topic],
      )
      expect(rows.length).toBeGreaterThan(0)
      for (const row of rows) {
        expect(row.counted, JSON.stringify(row)).toBe(row.read)
        expect(row.letters, JSON.stringify(row)).toBe(row.dead_lettered)
      }
    },
  }
}
