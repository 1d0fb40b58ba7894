import { Pool } from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it, vi } from 'vitest'
import { corrections as correctionsTopic } from '../../../schemas/corrections/topic.ts'
import { showLetter } from '../../../src/dead-letter/list.ts'
import { topicName } from '../../../src/define/catalog.ts'
import { EmbudoError } from '../../../src/define/error.ts'
import type { Log } from '../../../src/log/port.ts'
import { beginGeneration } from '../../../src/projection/generations.ts'
import { letterRelease } from '../../../src/projection/letters.ts'
import { tableOf } from '../../../src/projection/postgres/table.ts'
import { attendance, attended, dataOf, forgotten, makeCase as makeCaseIn, webinars } from './letters-world.ts'
import { append, codec, eventually, makeDatabase, startProjector } from './world.ts'

let database: Awaited<ReturnType<typeof makeDatabase>>
beforeAll(async () => {
  database = await makeDatabase(inject('parts').databaseUrl)
})
afterAll(() => database[Symbol.asyncDispose]())

const makeCase = () => makeCaseIn(database.pool)

/** Parked by a fold that was mended since, with two more behind it. */
const mendedSince = async () => {
  const at = await makeCase()
  await append(at.log, at.topic, [
    ...[attended('A', 'W-1'), attended('A', 'POISON', 5), attended('A', 'W-2'), attended('A', 'W-3')],
  ])
  {
    await using _ = await startProjector(at)
    await at.isApplied()
  }
  at.projections.splice(0, 2, attendance(at.name, true), webinars(at.tallyName, true))
  const [poison, behind] = await at.lettersOf(at.name)
  return { ...at, poison: poison!, behind: behind! }
}

const stateOf = async (id: string) => (await showLetter(database.pool, id)).state

describe('a decision that is on its way', () => {
  it('is waited for: nobody applies the letter as it is meanwhile, nor what comes behind it', async () => {
    const at = await mendedSince()
    await using corrections = await at.corrected()
    const decisions = at.decisionsWith(corrections)
    const letGo = at.log.faults.holdAppends()
    const discarding = decisions.discard(at.poison.id)
    await eventually(
      () => stateOf(at.poison.id),
      (state) => state === 'deciding',
    )
    await expect(decisions.retry(at.poison.id)).rejects.toMatchObject({ code: 'letter_settled' })
    expect(await decisions.retry(at.behind.id)).toMatchObject({ state: 'open' })
    expect((await at.rows()).A).toEqual([1, ['W-1']])
    letGo()
    expect(await discarding).toMatchObject({ state: 'discarded' })
    expect((await at.rows()).A).toEqual([3, ['W-1', 'W-2', 'W-3']])
    await at.expectCountsToAddUp()
  })

  it('is waited for also by a process that has not read it yet', async () => {
    const at = await mendedSince()
    await using corrections = await at.corrected()
    await using elsewhere = await at.corrected({ patienceMs: 20 })
    const letGo = at.log.faults.holdReads()
    await at.decisionsWith(corrections).edit(at.behind.id, { data: dataOf(attended('A', 'W-9')) })
    expect(await stateOf(at.behind.id)).toBe('applied')
    letGo()
    const [, second] = await append(at.log, at.topic, [attended('B', 'POISON'), attended('B', 'POISON')])
    at.projections[0] = attendance(at.name)
    await using _ = await startProjector(at)
    await at.isApplied()
    at.projections[0] = attendance(at.name, true)
    const letGoAgain = at.log.faults.holdReads()
    const [first, later] = await at.lettersOf(at.name)
    const died = { release: () => Promise.reject(new Error('died')) }
    await expect(at.decisionsWith(corrections, died).discard(later!.id)).rejects.toThrow('died')
    const release = letterRelease({ ...at, codec, corrections: elsewhere })
    const parked = { reader: at.name, generation: 1, topic: at.topic, partition: second!.partition }
    await release({ ...parked, offset: second!.offset, subject: 'B' })
    expect((await at.rows()).B).toEqual([1, ['POISON']])
    expect(await stateOf(first!.id)).toBe('applied')
    await expect(at.decisionsWith(elsewhere).retry(later!.id)).rejects.toMatchObject({
      code: 'corrections_unknown',
      retriable: true,
    })
    letGoAgain()
    expect(await at.decisionsWith(elsewhere).retry(later!.id)).toMatchObject({ state: 'discarded' })
    expect((await at.rows()).B).toEqual([1, ['POISON']])
  })

  it.each([true, false])(
    'is known from the log alone where its append was not answered (it is there: %s)',
    async (isThere) => {
      const at = await mendedSince()
      await using corrections = await at.corrected()
      const decisions = at.decisionsWith(corrections)
      const letGo = at.log.faults.holdReads()
      const lost = { code: 'log_timeout', detail: 'no answer', retriable: true } as const
      at.log.faults.failNextAppend(lost, isThere)
      await expect(decisions.discard(at.poison.id)).rejects.toMatchObject({ code: 'log_timeout' })
      expect(await stateOf(at.poison.id)).toBe('deciding')
      await expect(decisions.retry(at.poison.id)).rejects.toMatchObject({ code: 'letter_settled' })
      letGo()
      await using _ = at.settleWith(corrections, { appendTimeoutMs: 0, wireMs: 0 })
      const settled = isThere ? 'discarded' : 'open'
      await eventually(
        () => stateOf(at.poison.id),
        (state) => state === settled,
      )
      if (!isThere) await decisions.retry(at.poison.id)
      await eventually(
        async () => (await at.rows()).A?.[1],
        (seen) => seen?.at(-1) === 'W-3',
      )
      expect((await at.rows()).A?.[1]).toEqual(['W-1', ...(isThere ? [] : ['POISON']), 'W-2', 'W-3'])
      await at.expectCountsToAddUp()
    },
  )

  it('is no longer where the log has refused it', async () => {
    const at = await mendedSince()
    await using corrections = await at.corrected()
    const decisions = at.decisionsWith(corrections)
    at.log.faults.refuseNextAppend()
    await expect(decisions.discard(at.poison.id)).rejects.toMatchObject({ code: 'log_busy' })
    expect(await decisions.retry(at.poison.id)).toMatchObject({ state: 'applied' })
    expect((await at.rows()).A?.[1]).toEqual(['W-1', 'POISON', 'W-2', 'W-3'])
  })
})

describe('what was decided', () => {
  it('reaches generations that had applied the record before', async () => {
    const at = await mendedSince()
    await using corrections = await at.corrected()
    for (const { name } of at.projections)
      await beginGeneration(at.pool, name, 1, 4, { switchesItself: false })
    await using _ = await startProjector({ ...at, corrections })
    await eventually(
      () =>
        at.pool.query('select sum(next_offset)::integer as read from embudo.positions where topic = $1', [
          at.topic,
        ]),
      ({ rows }) => rows[0].read === 4 * 4,
    )
    expect((await at.rows(2)).A?.[1]).toEqual(['W-1', 'POISON', 'W-2', 'W-3'])
    const decisions = at.decisionsWith(corrections)
    await decisions.discard(at.poison.id)
    const [counted] = await at.lettersOf(at.tallyName)
    await decisions.edit(counted!.id, { data: dataOf(attended('A', 'W-9', 5)) })
    await using _settling = at.settleWith(corrections)
    const countedIn = async (generation: number) =>
      (
        await at.pool.query(
          `select webinar_id, seconds from ${tableOf(at.projections[1]!, generation).name} order by 1`,
        )
      ).rows
    await eventually(
      async () => [(await at.rows(2)).A, await countedIn(2)],
      (seen) => !JSON.stringify(seen).includes('POISON'),
    )
    expect(await at.rows(2)).toEqual({ A: [3, ['W-1', 'W-2', 'W-3']] })
    expect(await at.rows(1)).toEqual(await at.rows(2))
    expect(await countedIn(2)).toContainEqual({ webinar_id: 'W-9', seconds: 5 })
    expect(await countedIn(1)).toEqual(await countedIn(2))
    await at.expectCountsToAddUp()
  })

  it('takes away the row of who has no other event', async () => {
    const at = await makeCase()
    await append(at.log, at.topic, [attended('A', 'POISON')])
    {
      await using _ = await startProjector(at)
      await at.isApplied()
    }
    at.projections[0] = attendance(at.name, true)
    await using corrections = await at.corrected()
    await beginGeneration(at.pool, at.name, 1, 1, { switchesItself: false })
    await using _ = await startProjector({ ...at, corrections })
    await eventually(
      () => at.rows(2).catch(() => ({})),
      (rows) => 'A' in rows,
    )
    await at.decisionsWith(corrections).discard((await at.lettersOf(at.name))[0]!.id)
    await using _settling = at.settleWith(corrections)
    await eventually(
      () => at.rows(2),
      (rows) => !('A' in rows),
    )
  })

  it('is settled letter by letter: one that fails for a while holds up no other, and is tried again', async () => {
    const at = await makeCase()
    await using corrections = await at.corrected()
    await using _ = await startProjector({ ...at, corrections })
    const subjects = Array.from({ length: 7 }, (_, index) => `S-${index}`)
    await append(
      at.log,
      at.topic,
      subjects.map((subject) => attended(subject, 'POISON')),
    )
    await at.isApplied()
    const dying = at.decisionsWith(corrections, { release: () => Promise.reject(new Error('died')) })
    for (const { id } of await at.lettersOf(at.name)) await dying.discard(id).catch(() => {})
    const release = letterRelease({ ...at, codec, corrections })
    let failures = 0
    await using _settling = at.settleWith(corrections, {
      pageLetters: 2,
      async release(parked) {
        if (parked.subject === 'S-0' && failures++ < 3) throw new Error('connection lost')
        return await release(parked)
      },
    })
    await eventually(
      () => at.lettersOf(at.name),
      (letters) => letters.length === 0,
    )
    expect(failures).toBe(4)
  })
})

describe('the topic of corrections', () => {
  /** A log whose readers fail for as long as it is broken, as a broker's that has just started. */
  const breakable = (log: Log) => {
    let broken = new AbortController()
    let isBroken = false
    return {
      break: () => {
        isBroken = true
        broken.abort()
      },
      mend: () => {
        isBroken = false
        broken = new AbortController()
      },
      log: new Proxy(log, {
        get(target, name) {
          if (name !== 'reader') return Reflect.get(target, name).bind(target)
          return () => {
            const reader = target.reader()
            return {
              async *read(topic: string, partition: number, from: number, signal: AbortSignal) {
                if (!isBroken)
                  yield* reader.read(topic, partition, from, AbortSignal.any([signal, broken.signal]))
                if (isBroken) throw new EmbudoError('topic_unknown', `There is no topic ${topic}.`)
              },
              [Symbol.asyncDispose]: () => reader[Symbol.asyncDispose](),
            }
          }
        },
      }) as Log,
    }
  }

  it('is followed again after whatever passes; as long as it is not, nobody goes on as if it were known', async () => {
    const at = await mendedSince()
    const { log, ...faults } = breakable(at.log)
    await using elsewhere = await at.corrected({ log, lastingMs: 50, patienceMs: 50 })
    await using corrections = await at.corrected()
    await at.decisionsWith(corrections).discard(at.poison.id)
    await eventually(
      async () => elsewhere.size,
      (size) => size === 1,
    )
    const { topic, partition, offset } = at.poison
    faults.break()
    await eventually(
      async () => elsewhere.concern(),
      (concern) => concern?.includes('There is no topic') === true,
    )
    expect(() => elsewhere.of(at.name, topic, partition, offset)).toThrow(
      expect.objectContaining({ code: 'corrections_unknown', retriable: true }),
    )
    const [counted] = await at.lettersOf(at.tallyName)
    await at.decisionsWith(corrections).discard(counted!.id)
    await expect(elsewhere.upToDate()).rejects.toMatchObject({ code: 'corrections_unknown' })
    faults.mend()
    await eventually(
      async () => elsewhere.concern(),
      (concern) => concern === undefined,
    )
    await elsewhere.upToDate()
    expect(elsewhere.of(at.tallyName, topic, partition, offset)).toMatchObject({ decision: 'discarded' })
    // Also where nothing new comes.
    faults.break()
    await eventually(
      async () => elsewhere.concern(),
      (concern) => concern !== undefined,
    )
    faults.mend()
    await eventually(
      async () => elsewhere.concern(),
      (concern) => concern === undefined,
    )
    expect(elsewhere.of(at.name, topic, partition, offset)).toMatchObject({ decision: 'discarded' })
  })

  it('may hold what is no decision: that is passed over, loudly', async () => {
    const at = await mendedSince()
    const topic = topicName(at.prefix, correctionsTopic)
    const values = [Buffer.from('hello'), codec.encode('webinar_attended', attended('A', 'W-1').data)]
    await at.log.append(
      values.map((value) => ({ topic, partition: 0, key: Buffer.from('x'), value, headers: [] })),
    )
    const logger = { warn: vi.fn(), error: vi.fn() }
    await using corrections = await at.corrected({ logger })
    expect(corrections).toMatchObject({ size: 0, unreadable: 2 })
    expect(logger.error.mock.calls.map(([facts]) => facts)).toMatchObject([{ offset: 0 }, { offset: 1 }])
    expect(corrections.concern()).toBeUndefined()
    expect(await at.decisionsWith(corrections).discard(at.poison.id)).toMatchObject({ state: 'discarded' })
    await using others = await at.corrected()
    expect(others.size).toBe(1)
  })
})

describe('a letter that is retried', () => {
  it('needs no second connection: as many as there are may be retried at once', async () => {
    const at = await mendedSince()
    await using corrections = await at.corrected()
    const pool = new Pool({ connectionString: database.url, max: 1, connectionTimeoutMillis: 120_000 })
    try {
      const release = letterRelease({ ...at, pool, codec, corrections })
      const decisions = at.decisionsWith(corrections, { release })
      expect(await decisions.retry(at.poison.id)).toMatchObject({ state: 'applied' })
    } finally {
      await pool.end()
    }
    expect((await at.rows()).A?.[1]).toEqual(['W-1', 'POISON', 'W-2', 'W-3'])
  })

  it('is read with no more of its subject than fits into memory', async () => {
    const at = await makeCase()
    const large = (index: number) =>
      ({
        ...forgotten('A'),
        data: { ...dataOf(forgotten('A')), contentId: `${index}${'x'.repeat(900_000)}` },
      }) as ReturnType<typeof forgotten>
    await append(at.log, at.topic, [
      attended('A', 'POISON'),
      ...Array.from({ length: 9 }, (_, n) => large(n)),
    ])
    {
      await using _ = await startProjector(at)
      await at.isApplied()
    }
    at.projections[0] = attendance(at.name, true)
    await using corrections = await at.corrected()
    const epoch = async () =>
      (
        await at.pool.query('select max(epoch)::integer as epoch from embudo.positions where reader = $1', [
          at.name,
        ])
      ).rows[0].epoch
    const before = await epoch()
    const [poison] = await at.lettersOf(at.name)
    expect(await at.decisionsWith(corrections).retry(poison!.id)).toMatchObject({ state: 'applied' })
    expect((await epoch()) - before).toBe(2)
    expect(await at.lettersOf(at.name)).toEqual([])
    await at.expectCountsToAddUp()
  })

  it('is refused where another version of the code made its generation', async () => {
    const at = await mendedSince()
    await using corrections = await at.corrected()
    at.projections[0] = { ...attendance(at.name, true), version: 2 }
    await expect(at.decisionsWith(corrections).retry(at.poison.id)).rejects.toMatchObject({
      code: 'letter_of_other_version',
    })
    expect(await stateOf(at.poison.id)).toBe('open')
  })
})
