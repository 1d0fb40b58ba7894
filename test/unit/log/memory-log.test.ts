import { describe, expect, it } from 'vitest'
import { memoryLog } from '../../../src/log/memory-log.ts'
import type { LogRecord } from '../../../src/log/port.ts'

const record = (value: string) => ({
  topic: 't',
  partition: 0,
  key: Buffer.from('k'),
  value: Buffer.from(value),
  headers: [],
})

const logWith = async (...values: string[]) => {
  const log = memoryLog({ maxPendingBytes: 1_000 })
  await log.ensureTopics([{ topic: 't', partitions: 1, replication: 1, settings: {} }])
  await log.append(values.map(record))
  return log
}

const take = async (log: ReturnType<typeof memoryLog>, from: number, count: number) => {
  const records: LogRecord[] = []
  for await (const batch of log.reader().read('t', 0, from, new AbortController().signal)) {
    records.push(...batch.records)
    if (records.length >= count) break
  }
  return records.map(({ value }) => String(value))
}

describe('the faults of the log in memory', () => {
  it.each([
    [true, ['a', 'b']],
    [false, ['b']],
  ])('an append of unknown outcome, there: %s', async (appended, expected) => {
    const log = await logWith()
    log.faults.failNextAppend({ code: 'log_timeout', detail: 'no answer', retriable: true }, appended)
    expect(await log.append([record('a')])).toMatchObject([{ failed: true, code: 'log_timeout' }])
    await log.append([record('b')])
    expect(await take(log, 0, expected.length)).toEqual(expected)
  })

  it('a busy log takes nothing, once', async () => {
    const log = await logWith()
    log.faults.refuseNextAppend()
    await expect(log.append([record('a')])).rejects.toMatchObject({ code: 'log_busy' })
    expect(await log.append([record('b')])).toEqual([{ topic: 't', partition: 0, offset: 0 }])
  })

  it('held appends fill the bound and then go on in order', async () => {
    const log = await logWith()
    const letGo = log.faults.holdAppends()
    const held = ['a'.padEnd(500), 'b'].map((value) => log.append([record(value)]))
    await expect(log.append([record('c'.padEnd(500))])).rejects.toMatchObject({ code: 'log_busy' })
    letGo()
    expect(await Promise.all(held)).toMatchObject([[{ offset: 0 }], [{ offset: 1 }]])
  })

  it('a log that is cut off answers nothing, and its readers go on afterwards', async () => {
    const log = await logWith('a')
    const connect = log.faults.disconnect()
    await expect(log.ping()).rejects.toMatchObject({ code: 'log_unavailable', retriable: true })
    expect(await log.append([record('b')])).toMatchObject([{ failed: true, code: 'log_unavailable' }])
    const reading = take(log, 0, 1)
    connect()
    expect(await reading).toEqual(['a'])
  })

  it('a log that lost its end has no such offset any more', async () => {
    const log = await logWith('a', 'b', 'c')
    log.faults.cut('t', 0, 1)
    await expect(take(log, 3, 1)).rejects.toMatchObject({
      code: 'offset_out_of_range',
      facts: { from: 3, start: 0, end: 1 },
    })
    expect(await log.append([record('d')])).toMatchObject([{ offset: 1 }])
  })
})
