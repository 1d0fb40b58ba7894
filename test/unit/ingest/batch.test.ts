import { expect, it } from 'vitest'
import { EmbudoError } from '../../../src/define/error.ts'
import { Batch, type BatchLimits, type BatchParts } from '../../../src/ingest/batch.ts'
import { eventError } from '../../../src/ingest/event-error.ts'
import type { Appended, AppendRecord, LogFailure } from '../../../src/log/port.ts'

type Outcome = Appended | LogFailure

const limits: BatchLimits = {
  maxErrors: 10,
  chunkEvents: 2,
  chunkBytes: 1e9,
  maxBusyMs: 100,
  whenLogFails: 'stop',
}
const failure = (retriable: boolean): LogFailure => ({
  failed: true,
  code: retriable ? 'log_timeout' : 'record_too_large',
  detail: 'no',
  retriable,
})

/** Inputs are numbers; odd ones are refused. */
const batchOn = (
  append: (records: readonly AppendRecord[]) => Promise<Outcome[]>,
  own: Partial<BatchLimits> = {},
) => {
  const parts = {
    log: { append },
    validate: (input: unknown) =>
      Number(input) % 2 === 1
        ? { refused: eventError('wrong_type', '', 'odd'), id: undefined }
        : { id: `id-${input}`, subject: String(input) },
    toRecord: (event: { subject: string }) => ({
      topic: 't',
      partition: 0,
      body: Buffer.from(event.subject),
    }),
    wait: async () => {},
  } as unknown as BatchParts
  return new Batch(parts, { ...limits, ...own }, { source: 'http', traceparent: undefined })
}

const addAll = async (batch: Batch, inputs: readonly number[]) => {
  for (const input of inputs) {
    batch.add(input)
    if (batch.isFull) await batch.flush()
    if (batch.hasStopped) break
  }
  return batch.finish()
}

const numberOf = (record: AppendRecord): number =>
  Number('body' in record ? record.body.toString() : Number.NaN)

const taken = (records: readonly AppendRecord[]): Outcome[] =>
  records.map((record) => ({ topic: 't', partition: 0, offset: numberOf(record) }))

it('appends one chunk at a time, in order', async () => {
  let open = 0
  let most = 0
  const order: number[] = []
  const result = await addAll(
    batchOn(async (records) => {
      most = Math.max(most, ++open)
      await Promise.resolve()
      order.push(...records.map(numberOf))
      open--
      return taken(records)
    }),
    [0, 2, 4, 5, 6, 8, 10],
  )
  expect(most).toBe(1)
  expect(order).toEqual([0, 2, 4, 6, 8, 10])
  expect(result).toMatchObject({
    accepted: 6,
    rejected: 1,
    errors: [{ index: 3, id: null }],
    stopped: undefined,
    position: 't:0:10',
  })
})

it('a stream stops at the first event whose outcome is unknown; accepted and rejected count up to there', async () => {
  let calls = 0
  const result = await addAll(
    batchOn(async (records) =>
      ++calls === 2
        ? records.map((_, at) => (at === 1 ? failure(true) : taken(records)[at]!))
        : taken(records),
    ),
    [0, 2, 1, 4, 6, 3, 8, 10, 12],
  )
  expect(calls).toBe(2)
  expect(result).toMatchObject({
    accepted: 3,
    rejected: 1,
    stopped: { at: 4, because: { code: 'log_timeout' } },
  })
  expect(result.errors.map(({ index }) => index)).toEqual([2])
})

it('goes on after a record that the log will never take', async () => {
  const result = await addAll(
    batchOn(async (records) => records.map((_, at) => (at === 0 ? failure(false) : taken(records)[at]!))),
    [0, 2, 4, 6],
  )
  expect(result).toMatchObject({ accepted: 2, rejected: 2, stopped: undefined })
  expect(result.errors).toMatchObject([
    { index: 0, id: 'id-0', code: 'record_too_large', retriable: false },
    { index: 2, id: 'id-4' },
  ])
})

it('waits for a log that is full, and gives up in time', async () => {
  let busy = 2
  const full = new EmbudoError('log_busy', 'full', { retriable: true })
  const waiting = batchOn(async (records) => (busy-- > 0 ? Promise.reject(full) : taken(records)))
  expect(await addAll(waiting, [0, 2])).toMatchObject({ accepted: 2 })

  const never = batchOn(() => Promise.reject(full))
  expect(await addAll(never, [0, 2, 4])).toMatchObject({
    accepted: 0,
    stopped: { at: 0, because: { code: 'log_busy' } },
  })
})

it('a stream that breaks off stops at the next index', async () => {
  const batch = batchOn(async (records) => taken(records))
  batch.add(0)
  batch.add(1)
  expect(await batch.finish(eventError('body_timeout', '', 'late'))).toMatchObject({
    accepted: 1,
    rejected: 1,
    stopped: { at: 2, because: { code: 'body_timeout' } },
  })
})

it('of a body that is damaged nothing more is appended', async () => {
  const appended: AppendRecord[] = []
  const batch = batchOn(async (records) => {
    appended.push(...records)
    return taken(records)
  })
  batch.add(0)
  await batch.flush()
  batch.add(1)
  batch.add(2)
  expect(await batch.finish(eventError('body_malformed', '', 'changed'))).toMatchObject({
    accepted: 1,
    rejected: 1,
    stopped: { at: 2, because: { code: 'body_malformed' } },
  })
  expect(appended).toHaveLength(1)
})

it.each([3, 1_000])(
  'what is refused past the place where a stream stops counts for nothing, %i told',
  async (maxErrors) => {
    const failAt = async (records: readonly AppendRecord[]): Promise<Outcome[]> =>
      records.map((record) => (numberOf(record) === 8 ? failure(true) : taken([record])[0]!))
    // Refused before the event 8: four; past it: five.
    const result = await addAll(batchOn(failAt, { maxErrors, chunkEvents: 3 }), [
      ...[1, 3, 0, 5, 2, 7, 8, 9, 11, 13, 15, 4, 17],
    ])
    expect(result).toMatchObject({ accepted: 2, rejected: 4, stopped: { at: 6 } })
    expect(result.errorsOmitted).toBe(Math.max(0, 4 - maxErrors))
  },
)

it('what is dropped with a body that broke is not told as refused, however much was', async () => {
  const batch = batchOn(async (records) => taken(records), { maxErrors: 1, chunkEvents: 2 })
  for (const input of [1, 0, 3, 2]) batch.add(input)
  await batch.flush()
  for (const input of [5, 4, 7, 9, 11]) batch.add(input)
  const result = await batch.finish(eventError('body_malformed', '', 'cut off'))
  expect(result).toMatchObject({ accepted: 2, rejected: 3, errorsOmitted: 2, stopped: { at: 5 } })
})

it('what the log itself refused counts up to the place where a stream stops', async () => {
  const append = async (records: readonly AppendRecord[]): Promise<Outcome[]> =>
    records.map((record) => {
      const number = numberOf(record)
      return number < 4 ? failure(false) : failure(true)
    })
  const result = await addAll(batchOn(append, { maxErrors: 1, chunkEvents: 3 }), [1, 0, 2, 4, 3])
  expect(result).toMatchObject({ accepted: 0, rejected: 3, errorsOmitted: 2, stopped: { at: 3 } })
})
