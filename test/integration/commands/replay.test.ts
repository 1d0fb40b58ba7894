import { Writable } from 'node:stream'
import { Kafka, logLevel } from 'kafkajs'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import type { CommandContext } from '../../../src/commands/context.ts'
import { replayCommand } from '../../../src/commands/replay.ts'
import type { WholeRecord } from '../../../src/log/port.ts'
import { run } from '../../unit/commands/command-line.ts'
import { startFace } from '../http/http-face.ts'
import { eventually } from '../projection/world.ts'
import { historyWorld, leadsThatAttend } from './history-world.ts'

type Line = Record<string, unknown> & { data: Record<string, unknown> }

const leads = 40
let world: Awaited<ReturnType<typeof historyWorld>>
/** When the first half of the leads was in the log, and the second not. */
let halfTime: string
beforeAll(async () => {
  world = await historyWorld(inject('parts'))
  const events = leadsThatAttend(leads)
  await world.append(events.slice(0, 3 * 20))
  const [last] = (await recordsIn(world.topic)).toSorted((a, b) => b.timestamp - a.timestamp)
  while (Date.now() <= last!.timestamp + 1) await new Promise((resolve) => setTimeout(resolve, 1))
  halfTime = new Date(last!.timestamp + 1).toISOString()
  await world.append(events.slice(3 * 20))
})
afterAll(() => world[Symbol.asyncDispose]())

const replay = (args: readonly string[], given: Partial<CommandContext> = {}) =>
  run(replayCommand, ['replay', 'leads', ...args], { environment: world.environment, ...given })

const linesOf = (out: string): Line[] =>
  out
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))

const idsOf = (out: string): string[] => linesOf(out).map(({ id }) => String(id))

const recordsIn = async (topic: string): Promise<(WholeRecord & { readonly partition: number })[]> => {
  const found: (WholeRecord & { readonly partition: number })[] = []
  await using reader = world.log.reader()
  for (const { partition, start, end } of await world.log.bounds(topic)) {
    if (start === end) continue
    for await (const { records } of reader.read(topic, partition, start, new AbortController().signal)) {
      for (const record of records) found.push(Object.assign(record, { partition }))
      if (records.at(-1)!.offset + 1 >= end) break
    }
  }
  return found
}

describe('replay to standard output', () => {
  it('gives every record as the event that ingestion takes back', async () => {
    const ran = await replay([])
    expect([ran.status, ran.err]).toEqual([0, expect.stringContaining('120 records of')])
    const lines = linesOf(ran.out)
    expect(lines).toHaveLength(120)
    const first = lines.find(({ id }) => id === 'r-7')!
    expect(first).toEqual({
      ...{ specversion: '1.0', id: 'r-7', source: 'web', type: 'lead_registered', subject: 'L-7' },
      ...{ time: '2026-10-01T00:07:00.000Z', datacontenttype: 'application/json', correlationid: 'c-7' },
      ...{ logtopic: world.topic, logpartition: expect.any(Number), logoffset: expect.any(Number) },
      logtime: expect.stringMatching(/^20\d\d-.*Z$/),
      data: {
        ...{ leadId: 'L-7', email: '7@example.com', firstName: null, lastName: 'Ünal "x"' },
        ...{ company: null, source: 'ads' },
      },
    })
    await using face = await startFace()
    const response = await face.post(ran.out, { 'content-type': 'application/x-ndjson' })
    expect([response.status, await response.json()]).toEqual([
      202,
      expect.objectContaining({ accepted: 120, rejected: 0 }),
    ])
    const again = (await face.appended()).map(({ id, source, type, time, subject, data }) => ({
      ...{ id, source, type, time, subject, data },
    }))
    const byId = (a: { id: unknown }, b: { id: unknown }) => (String(a.id) < String(b.id) ? -1 : 1)
    expect(again.toSorted(byId)).toEqual(
      lines
        .map(({ id, source, type, time, subject, data }) => ({ id, source, type, time, subject, data }))
        .toSorted(byId),
    )
  })

  it('keeps the order of appending', async () => {
    const lines = linesOf((await replay([])).out)
    const times = lines.map(({ logtime }) => String(logtime))
    expect(times).toEqual(times.toSorted())
    for (const [, same] of Map.groupBy(lines, ({ logpartition }) => logpartition)) {
      expect(same.map(({ logoffset }) => logoffset)).toEqual(same.map((_, index) => index))
    }
  })

  it('takes a part: offsets, times, partitions, types, subjects, sources', async () => {
    const all = linesOf((await replay([])).out)
    const ids = (isSo: (line: Line) => boolean) => all.filter(isSo).map(({ id }) => id)
    const seen = async (...args: string[]) => idsOf((await replay(args)).out)
    expect(await seen('--from-offset', '3')).toEqual(ids(({ logoffset }) => Number(logoffset) >= 3))
    expect(await seen('--from-offset', '0:2,1:1', '--to-offset', '5', '--partition', '0,1')).toEqual(
      ids(({ logoffset, logpartition }) =>
        logpartition === 0
          ? Number(logoffset) >= 2 && Number(logoffset) < 5
          : logpartition === 1 && Number(logoffset) >= 1 && Number(logoffset) < 5,
      ),
    )
    const isEarly = ({ data }: Line) => Number(String(data.leadId).slice(2)) < 20
    expect(await seen('--to', halfTime)).toEqual(ids(isEarly))
    expect(await seen('--from', halfTime)).toEqual(ids((line) => !isEarly(line)))
    expect(
      await seen('--type', 'webinar_attended', '--type', 'conversion_completed', '--source', 'zoom'),
    ).toEqual(ids(({ type }) => type === 'webinar_attended'))
    expect(await seen('--subject', 'L-3', '--subject', 'L-4')).toEqual(
      ids(({ subject }) => subject === 'L-3' || subject === 'L-4'),
    )
  })

  it('keeps to a rate', async () => {
    let now = 0
    const wait = async (ms: number) => {
      now += ms
    }
    const ran = await replay(['--rate', '20', '--json'], { now: () => now, wait })
    expect(idsOf(ran.out)).toHaveLength(120)
    expect(now).toBeGreaterThan(5_000)
    expect(now).toBeLessThanOrEqual(6_000)
    expect(JSON.parse(ran.err)).toMatchObject({ replayed: 120, passed: 120 })
  })

  it('says where to go on when it is interrupted, and that is right', async () => {
    const interrupt = new AbortController()
    const rest = async () => interrupt.abort()
    const ran = await replay(['--rate', '100'], { signal: interrupt.signal, now: () => 0, wait: rest })
    expect(ran.status).toBe(1)
    const next = /--from-offset ([\d:,]+)/.exec(ran.err)![1]!
    const first = idsOf(ran.out)
    expect(first.length).toBeLessThan(120)
    const then = idsOf((await replay(['--from-offset', next])).out)
    expect([...first, ...then].toSorted()).toEqual(idsOf((await replay([])).out).toSorted())
  })

  it('follows what comes until it is interrupted', async () => {
    const interrupt = new AbortController()
    const seen: string[] = []
    const following = replay(['--follow', '--from', '2100-01-01', '--json'], {
      signal: interrupt.signal,
      stdout: new Writable({
        write(text, _encoding, done) {
          seen.push(...idsOf(String(text)))
          if (seen.length >= 3) interrupt.abort()
          done()
        },
      }),
    })
    // Where it has ended by itself, more events would bring nothing.
    const ended = following.finally(() => interrupt.abort())
    const [late] = leadsThatAttend(1)
    let appended = 0
    for (; !interrupt.signal.aborted; appended++) await world.append([{ ...late!, id: `late-${appended}` }])
    const ran = await ended
    expect([ran.status, ran.err]).toEqual([0, expect.any(String)])
    const ids = Array.from({ length: appended }, (_, n) => `late-${n}`)
    const begun = ids.indexOf(seen[0]!)
    expect(begun).toBeGreaterThanOrEqual(0)
    expect(seen).toEqual(ids.slice(begun, begun + seen.length))
  })

  it('tells and leaves out what is no event', async () => {
    const topic = `${world.prefix}foreign`
    await world.log.ensureTopics([{ topic, partitions: 1, replication: 1, settings: {} }])
    const [record] = await recordsIn(world.topic)
    await world.log.append([
      { topic, partition: 0, key: Buffer.from('k'), value: Buffer.from('no event'), headers: [] },
      { topic, partition: 0, body: record!.body() },
    ])
    const ran = await run(replayCommand, ['replay', topic], { environment: world.environment })
    expect(ran.status).toBe(1)
    expect(linesOf(ran.out)).toHaveLength(1)
    expect(ran.err).toContain(`left out ${topic}:0:0`)
    expect(ran.err).toContain('1 records are no events')
  })

  it.each([
    [['--from', '2026-01-01', '--from-offset', '3'], '--from-offset'],
    [['--follow', '--to-offset', '3'], '--follow never ends'],
    [['--partition', '99'], 'none is 99'],
    [['--to-topic', 'leads'], 'cannot be copied to itself'],
    [['--create'], '--to-topic'],
    [['--to-projection', 'nothing'], 'no read model or tally'],
    [['--from-offset', 'x'], 'expected an offset'],
  ])('refuses %j', async (args, told) => {
    const ran = await replay(args)
    expect([ran.status, ran.err]).toEqual([2, expect.stringContaining(told)])
  })
})

describe('replay to another topic', () => {
  it('copies records as they are, each to the partition of its key', async () => {
    const copy = `${world.prefix}copy`
    expect((await replay(['--to-topic', copy])).err).toContain('There is no topic')
    const ran = await replay(['--to-topic', copy, '--create', '--type', 'webinar_attended', '--json'])
    expect(ran.json()).toMatchObject({ replayed: 40, topic: world.topic })
    const [originals, copies] = await Promise.all([recordsIn(world.topic), recordsIn(copy)])
    const attended = originals.filter((record) => record.header('ce_type') === 'webinar_attended')
    const shown = (records: typeof originals) =>
      records.map((record) => `${record.partition} ${record.body().toString('base64')}`).toSorted()
    expect(shown(copies)).toEqual(shown(attended))
    expect((await world.log.bounds(copy)).length).toBe(world.partitions)
  })
})

describe('replay to a projection', () => {
  it('repairs the subjects of those events, and counts nothing twice', async () => {
    await world.project()
    const rows = async () =>
      (await world.pool.query('select lead_id, webinars_attended as n from lead_profile order by 1')).rows
    const before = await rows()
    await world.pool.query('update embudo.lead_profile_1 set webinars_attended = 77')
    const ran = await replay(['--to-projection', 'lead_profile', '--to', halfTime, '--json'])
    expect(ran.json()).toMatchObject({ subjects: 20, changed: 20, failed: [] })
    expect(await rows()).toEqual(
      before.map(({ lead_id, n }) => ({ lead_id, n: Number(lead_id.slice(2)) < 20 ? n : 77 })),
    )
  })

  it('fails where rows are left as they are, and says which', async () => {
    const table = 'embudo.lead_profile_1'
    await world.pool.query(`update ${table} set webinars_attended = 78`)
    await world.pool.query(
      `alter table ${table} add constraint stuck check (lead_id <> 'L-3' or webinars_attended = 78)`,
    )
    const ran = await replay(['--to-projection', 'lead_profile', '--to', halfTime])
    await world.pool.query(`alter table ${table} drop constraint stuck`)
    expect(ran.status).toBe(1)
    expect(ran.out).toMatch(/not repaired {2}L-3: .*violates check constraint/)
    expect(ran.err).toContain('1 rows cannot be folded or stored')
    expect(ran.err).not.toContain('to go on where it failed')
  })
})

describe('the end of a replay', () => {
  it('comes behind the last record, also where only markers of a transaction follow', async () => {
    const topic = `${world.prefix}transacted`
    await world.log.ensureTopics([{ topic, partitions: 1, replication: 1, settings: {} }])
    const [original] = await recordsIn(world.topic)
    const kafka = new Kafka({
      brokers: inject('parts').kafkaBrokers.split(','),
      logLevel: logLevel.NOTHING,
    })
    const producer = kafka.producer({ transactionalId: topic, maxInFlightRequests: 1, idempotent: true })
    await producer.connect()
    const transaction = await producer.transaction()
    await transaction.send({ topic, messages: [{ key: original!.key, value: original!.value }] })
    await transaction.commit()
    await producer.disconnect()
    await eventually(
      () => world.log.bounds(topic),
      ([bounds]) => bounds?.end === 2,
    )
    const ran = await run(replayCommand, ['replay', topic], { environment: world.environment })
    expect([ran.status, linesOf(ran.out).length]).toEqual([0, 1])
  })
})
