import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { shownData } from '../../../src/dead-letter/edit.ts'
import { findParked, listLetters, showLetter } from '../../../src/dead-letter/list.ts'
import type { Personal } from '../../../src/define/event.ts'
import { partitionFor } from '../../../src/log/port.ts'
import { beginGeneration } from '../../../src/projection/generations.ts'
import { attendance, attended, dataOf, forgotten, makeCase as makeCaseIn } from './letters-world.ts'
import { leads } from './models.ts'
import { append, applied, codec, eventually, makeDatabase, startProjector, statesOf } from './world.ts'

let database: Awaited<ReturnType<typeof makeDatabase>>
beforeAll(async () => {
  database = await makeDatabase(inject('parts').databaseUrl)
})
afterAll(() => database[Symbol.asyncDispose]())

const makeCase = () => makeCaseIn(database.pool)

describe('a record that a projection cannot apply', () => {
  it('waits, and what comes of its subject waits behind it, while all others go on', async () => {
    const at = await makeCase()
    await using _ = await startProjector(at)
    await append(at.log, at.topic, [attended('A', 'W-1'), attended('A', 'POISON'), attended('B', 'W-1')])
    await append(at.log, at.topic, [attended('A', 'W-2'), attended('B', 'W-2')])
    await at.isApplied()
    expect(await at.rows()).toEqual({ A: [1, ['W-1']], B: [2, ['W-1', 'W-2']] })
    const letters = await at.lettersOf(at.name)
    expect(letters).toMatchObject([
      { subject: 'A', cause: 'poison', code: 'fold_failed', state: 'open', waiting: 1 },
      { subject: 'A', cause: 'behind', code: null, state: 'open', waiting: 0 },
    ])
    expect(letters[0]?.error).toContain('no such webinar')
    expect(await at.lettersOf(at.tallyName)).toMatchObject([{ cause: 'poison', waiting: 0 }])
    await at.expectCountsToAddUp()
    const { topic, partition, offset } = letters[1]!
    expect(await findParked(at.pool, at.name, [{ topic, partition, offset }])).toEqual({
      ...{ topic, partition, offset },
    })
    expect(await findParked(at.pool, at.name, [{ topic, partition, offset: offset + 1 }])).toBeUndefined()
  })

  it.each([10_000, 40])(
    'is found by the row that no column can hold, wherever batches of %i end',
    async (batchRecords) => {
      const at = await makeCase()
      const many = Array.from({ length: 300 }, (_, index) => attended(`L-${index % 7}`, `W-${index}`))
      await append(at.log, at.topic, [
        ...many.slice(0, 100),
        attended('L-3', 'LONG', 2 ** 31),
        // With these the row could be written again, were they not to wait.
        ...many.slice(100, 200).flatMap((event) => [event, forgotten('L-3')]),
        attended('L-5', 'LONGER', 2 ** 32),
        ...many.slice(200),
      ])
      await using _ = await startProjector({ ...at, batchRecords })
      await at.isApplied()
      const rows = await at.rows()
      const first = (lead: number, until: number) =>
        many
          .slice(0, until)
          .flatMap(({ data }) => ('webinarId' in data && data.leadId === `L-${lead}` ? [data.webinarId] : []))
      expect(rows['L-3']).toEqual([first(3, 100).length, first(3, 100)])
      expect(rows['L-5']).toEqual([first(5, 200).length, first(5, 200)])
      expect(rows['L-1']).toEqual([first(1, 300).length, first(1, 300)])
      const letters = (await at.lettersOf(at.name)).filter(({ cause }) => cause === 'poison')
      expect(letters.map(({ subject, code }) => [subject, code]).toSorted()).toEqual([
        ['L-3', 'fold_failed'],
        ['L-5', 'fold_failed'],
      ])
      await at.expectCountsToAddUp()
    },
  )

  it.each([1, 100])(
    'is traced where only Postgres knows that the row is none, in batches of %i',
    async (batchRecords) => {
      const at = await makeCase()
      const others = Array.from({ length: 60 }, (_, index) => attended(`L-${index % 5}`, `W-${index}`))
      await append(at.log, at.topic, [
        ...[
          ...others.slice(0, 30),
          attended('A', 'W-1'),
          attended('A', 'LONG', 100_000),
          attended('A', 'W-2'),
        ],
        ...others.slice(30),
      ])
      await using _ = await startProjector({ ...at, batchRecords })
      await at.isApplied()
      const { A, ...rows } = await at.rows()
      expect(A).toEqual([1, ['W-1']])
      expect(Object.values(rows).map(([seconds]) => seconds)).toEqual([12, 12, 12, 12, 12])
      expect((await at.lettersOf(at.name))[0]).toMatchObject({ subject: 'A', code: 'row_refused' })
      await at.expectCountsToAddUp()
    },
  )

  it('is parked with its bytes where they are no event at all', async () => {
    const at = await makeCase()
    const partition = partitionFor(Buffer.from('A'), leads.partitions)
    const whole = codec.encode('webinar_attended', attended('A', 'W-1').data)
    const values = [Buffer.from('hello'), Buffer.from([]), whole.subarray(0, whole.length - 3)]
    await using _ = await startProjector(at)
    for (const value of values) {
      await at.log.append([
        { topic: at.topic, partition, key: Buffer.from('A'), value, headers: [['ce_id', randomUUID()]] },
      ])
    }
    await append(at.log, at.topic, [attended('B', 'W-1')])
    await at.isApplied()
    expect(await at.rows()).toEqual({ B: [1, ['W-1']] })
    const letters = await at.lettersOf(at.name)
    expect(letters).toHaveLength(3)
    for (const [index, { id }] of letters.entries()) {
      const letter = await showLetter(at.pool, id)
      expect(letter.value).toEqual(values[index])
      expect(await shownData(letter, codec)).toBeNull()
    }
    await at.expectCountsToAddUp()
  })

  it('is parked where its key has a NUL, which no row can', async () => {
    const at = await makeCase()
    const key = 'A\0B'
    await using projector = await startProjector(at)
    await append(at.log, at.topic, [attended(key, 'W-1'), attended('C', 'W-1'), attended(key, 'W-2')])
    const events = ['A', 'B', 'D', 'E'].map((lead) => attended(lead, 'W-1'))
    await append(at.log, at.topic, events)
    await at.isApplied()
    expect(statesOf(projector.consumers())).not.toContain('failed')
    expect(Object.keys(await at.rows())).toEqual(['A', 'B', 'C', 'D', 'E'])
    expect(await at.lettersOf(at.name)).toMatchObject([
      { subject: 'A\ufffdB', cause: 'poison', code: 'record_malformed' },
      { subject: 'A\ufffdB', cause: 'behind' },
    ])
    await at.expectCountsToAddUp()
  })

  it('stops the partition where there are too many: the fold is wrong, and not the events', async () => {
    const at = await makeCase()
    const events = Array.from({ length: 300 }, (_, index) => attended(`L-${index}`, 'POISON'))
    await append(at.log, at.topic, events)
    const projector = await startProjector({ ...at, projections: [attendance(at.name)] })
    await using _ = projector
    await eventually(
      async () => statesOf(projector.consumers()),
      (states) => states.includes('failed'),
    )
    const errors = projector.consumers().flatMap((consumer) => consumer.status().map(({ error }) => error))
    expect(errors.join()).toContain('EMBUDO_MAX_POISONED_SHARE')
    expect(await at.rows()).toEqual({})
  })
})

describe('what is decided about it', () => {
  const poisoned = async () => {
    const at = await makeCase()
    await append(at.log, at.topic, [
      ...[attended('A', 'W-1'), attended('A', 'POISON', 5), attended('A', 'W-2'), attended('A', 'POISON', 7)],
      ...[attended('A', 'W-3'), attended('B', 'W-1')],
    ])
    return at
  }

  it('edited, it is applied in its place, and what waits behind it in order, up to the next', async () => {
    const at = await poisoned()
    await using corrections = await at.corrected()
    await using _ = await startProjector({ ...at, corrections })
    await at.isApplied()
    const decisions = at.decisionsWith(corrections)
    const [first] = await at.lettersOf(at.name)
    const settled = await decisions.edit(first!.id, { data: dataOf(attended('A', 'W-9', 5)) }, 'a typo')
    expect(settled).toMatchObject({ state: 'applied' })
    expect(await at.rows()).toMatchObject({ A: [7, ['W-1', 'W-9', 'W-2']] })
    expect(await at.lettersOf(at.name)).toMatchObject([
      { cause: 'poison', attempts: 2, waiting: 1 },
      { cause: 'behind' },
    ])
    await at.expectCountsToAddUp()
    await expect(decisions.discard(first!.id)).rejects.toMatchObject({ code: 'letter_settled' })

    const [second] = await at.lettersOf(at.name)
    await decisions.discard(second!.id)
    expect(await at.rows()).toEqual({ A: [8, ['W-1', 'W-9', 'W-2', 'W-3']], B: [1, ['W-1']] })
    await append(at.log, at.topic, [attended('A', 'W-4')])
    await at.isApplied()
    expect((await at.rows()).A).toEqual([9, ['W-1', 'W-9', 'W-2', 'W-3', 'W-4']])
    expect(await at.lettersOf(at.name)).toEqual([])
    await at.expectCountsToAddUp()
  })

  it('holds in every rebuild, also by a process that has only the log', async () => {
    const at = await poisoned()
    {
      await using corrections = await at.corrected()
      await using _ = await startProjector({ ...at, corrections })
      await at.isApplied()
      const decisions = at.decisionsWith(corrections)
      await decisions.edit((await at.lettersOf(at.name))[0]!.id, { data: dataOf(attended('A', 'W-9', 5)) })
      await decisions.discard((await at.lettersOf(at.name))[0]!.id)
    }
    const rows = await at.rows()
    await using corrections = await at.corrected()
    expect(corrections.size).toBe(2)
    const generation = await beginGeneration(at.pool, at.name, 1, 6)
    await using _ = await startProjector({ ...at, corrections })
    await eventually(
      async () =>
        (
          await at.pool.query(
            `select state from embudo.generations where projection = $1 and generation = $2`,
            [...[at.name, generation]],
          )
        ).rows[0]?.state,
      (state) => state === 'live',
    )
    expect(await at.rows()).toEqual(rows)
    await at.expectCountsToAddUp()
  })

  it('retried once the fold is mended, all of it is applied in order, exactly once', async () => {
    const at = await poisoned()
    await using corrections = await at.corrected()
    {
      await using _ = await startProjector({ ...at, corrections })
      await at.isApplied()
    }
    at.projections[0] = attendance(at.name, true)
    await using _ = await startProjector({ ...at, corrections })
    const decisions = at.decisionsWith(corrections)
    const [first] = await at.lettersOf(at.name)
    const retried = await Promise.allSettled([decisions.retry(first!.id), decisions.retry(first!.id)])
    expect(retried.map(({ status }) => status)).toContain('fulfilled')
    await append(at.log, at.topic, [attended('A', 'W-4')])
    await at.isApplied()
    expect((await at.rows()).A).toEqual([16, ['W-1', 'POISON', 'W-2', 'POISON', 'W-3', 'W-4']])
    await at.expectCountsToAddUp()
  })

  it('goes through a tally too, one record at a time', async () => {
    const at = await poisoned()
    await using corrections = await at.corrected()
    await using _ = await startProjector({ ...at, corrections })
    await applied(at, at.tallyName)
    const decisions = at.decisionsWith(corrections)
    const [first, second] = await at.lettersOf(at.tallyName)
    await decisions.edit(second!.id, { data: dataOf(attended('A', 'W-1', 70)) })
    expect(await at.lettersOf(at.tallyName)).toMatchObject([{ id: first!.id, state: 'open' }])
    const { rows } = await at.pool.query(`select * from public.${at.tallyName} order by webinar_id`)
    expect(rows).toEqual([
      { webinar_id: 'W-1', seconds: 72 },
      { webinar_id: 'W-2', seconds: 1 },
      { webinar_id: 'W-3', seconds: 1 },
    ])
    await at.expectCountsToAddUp()
  })

  it('keeps what is personal as it is, and shows none of it', async () => {
    const at = await makeCase()
    await using corrections = await at.corrected()
    await using _ = await startProjector({ ...at, corrections })
    const email = 'ada@example.com' as unknown as Personal<string>
    await append(at.log, at.topic, [
      attended('A', 'POISON'),
      {
        type: 'lead_registered',
        time: '2026-11-20T10:00:00.000Z',
        data: { leadId: 'A', email, firstName: null, lastName: null, company: 'x', source: null },
      },
    ])
    await at.isApplied()
    const [poison, behind] = await at.lettersOf(at.name)
    const data = (await shownData(await showLetter(at.pool, behind!.id), codec))!
    expect(data).toMatchObject({ leadId: 'A', email: '[personal]', company: 'x' })
    const decisions = at.decisionsWith(corrections)
    await decisions.edit(behind!.id, { data: { ...data, company: 'y' } })
    await decisions.discard(poison!.id)
    const { rows } = await at.pool.query(`select email from public.${at.name}`)
    expect(rows).toEqual([{ email }])
  })

  it('is refused where it is of another subject, or no event', async () => {
    const at = await poisoned()
    await using corrections = await at.corrected()
    await using _ = await startProjector({ ...at, corrections })
    await at.isApplied()
    const decisions = at.decisionsWith(corrections)
    const [first] = await at.lettersOf(at.name)
    await expect(decisions.edit(first!.id, { data: dataOf(attended('B', 'W-1')) })).rejects.toMatchObject({
      code: 'subject_mismatch',
      facts: { field: '/data/leadId', invalid: true },
    })
    await expect(decisions.edit(first!.id, { data: { leadId: 'A' } })).rejects.toMatchObject({
      code: 'missing_field',
    })
    await expect(decisions.edit(first!.id, { type: 'user_registered', data: {} })).rejects.toMatchObject({
      code: 'unknown_event_type',
    })
    await expect(decisions.retry('999999999')).rejects.toMatchObject({ code: 'not_found' })
    expect(corrections.size).toBe(0)
  })

  it('is made good by the worker where who decided died before anything came of it', async () => {
    const at = await poisoned()
    await using corrections = await at.corrected()
    await using _ = await startProjector({ ...at, corrections })
    await at.isApplied()
    const died = new Error('died')
    const dying = at.decisionsWith(corrections, { release: () => Promise.reject(died) })
    const [first] = await at.lettersOf(at.name)
    await expect(dying.discard(first!.id)).rejects.toBe(died)
    expect((await at.rows()).A).toEqual([1, ['W-1']])
    await using _settling = at.settleWith(corrections)
    await eventually(
      async () => (await at.rows()).A,
      (row) => row?.[1].includes('W-2') === true,
    )
    await at.expectCountsToAddUp()
  })
})

describe('text that Postgres cannot hold', () => {
  it('stops no partition, whether it is in the key, the headers or the error', async () => {
    const at = await makeCase()
    const key = Buffer.from('N\0')
    const partition = partitionFor(key, leads.partitions)
    const headers = () => [['ce_id', randomUUID()] as const, ['ce_type', 'a\0b'] as const]
    const value = codec.encode('webinar_attended', attended('N\0', 'W-1').data)
    const unframed = Buffer.from('hello')
    await at.log.append(
      [unframed, value].map((each) => ({ topic: at.topic, partition, key, value: each, headers: headers() })),
    )
    await at.log.append([{ topic: at.topic, partition, key: Buffer.from('M\0'), value, headers: headers() }])
    await append(at.log, at.topic, [attended('A', 'POISON')])
    await using _ = await startProjector(at)
    await applied(at, at.name)
    const letters = await at.lettersOf(at.name)
    expect(letters.map(({ subject }) => subject).toSorted()).toEqual(['A', 'M\ufffd', 'N\ufffd', 'N\ufffd'])
    const named = { projection: at.name, subject: 'N\0', limit: 10 }
    expect((await listLetters(at.pool, named)).items).toHaveLength(2)
    const throwing = attendance(at.name)
    at.projections[0] = {
      ...throwing,
      evolve: {
        ...throwing.evolve,
        webinar_attended: () => {
          throw new Error('no\0such')
        },
      },
    } as typeof throwing
    await using corrections = await at.corrected()
    const { id } = letters.find(({ subject }) => subject === 'A')!
    const retried = await at.decisionsWith(corrections).retry(id)
    expect(retried).toMatchObject({ state: 'open', attempts: 2 })
    expect(retried.error).toContain('no\ufffdsuch')
  })
})
