import { Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, inject, it, vi } from 'vitest'
import { eventually } from '../../processes.ts'
import { codec, openWorld, Story, type World } from './sink-world.ts'

/** What is known of ClickHouse's limits is refused before: here amounts are not, as a stand-in for what is not known. */
vi.mock('../../../src/projection/clickhouse/skipper.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../../src/projection/clickhouse/skipper.ts')>()
  const isDecimal = (type: unknown): boolean => (type as { logicalType?: string }).logicalType === 'decimal'
  const skipperOf: typeof original.skipperOf = (record) => {
    const fields = record.fields.map((field) => (isDecimal(field.type) ? { ...field, type: 'bytes' } : field))
    return original.skipperOf({ ...record, fields })
  }
  return { ...original, skipperOf }
})

const sale = (value: string) =>
  codec.encode('conversion_completed', { leadId: 'L-0', conversionType: 'sale', value, currency: 'EUR' })
const tooLarge = sale('99999999999999999999.9999')
const tooLargeAsWell = sale('-88888888888888888888.8888')

const codeOf = (error: unknown) => (error as { code?: string }).code

describe('a row that ClickHouse refuses', () => {
  let world: World
  beforeAll(async () => {
    world = await openWorld(inject('parts'))
  })
  afterAll(async () => {
    await world[Symbol.asyncDispose]()
  })

  it('is parked alone, and every other one arrives, once', async () => {
    const story = new Story(world)
    await story.append(60)
    const [, end = 0] = (await story.log.bounds(story.topic)).map((bounds) => bounds.end)
    await story.appendValue(1, tooLarge)
    await story.append(60)
    await story.appendValue(2, tooLargeAsWell)
    await using worker = story.start()
    await story.untilRead()
    expect(await story.counts()).toEqual({ rows: 120, places: 120 })
    expect(await story.accounts()).toEqual({ applied: 120, deadLettered: 2, unaccounted: 0 })
    const letter = { type: 'conversion_completed', code: 'row_refused', state: 'open', attempts: 1 }
    expect(await story.letters()).toMatchObject([
      { ...letter, partition: 1, offset: end },
      { ...letter, partition: 2 },
    ])
    expect(worker.errors.map(codeOf)).toContain('clickhouse_failed')
  })

  it('is refused again where it is retried as it was, and taken where it was edited', async () => {
    const story = new Story(world)
    await story.appendOnce(30)
    await story.appendValue(1, tooLarge)
    await story.appendValue(1, tooLarge)
    const become = (...wanted: string[]) =>
      eventually(
        async () => (await story.letters()).map(({ state, attempts }) => `${state} ${attempts}`),
        (letters) => letters.join() === wanted.join(),
      )
    {
      await using _ = story.start()
      await story.untilRead()
      await story.retryLetters(new Map([[10, sale('49.50')]]))
      await become('applied 1', 'open 2')
    }
    // Another process, which has seen neither refused.
    await using _ = story.start()
    await story.retryLetters(new Map([[11, tooLargeAsWell]]))
    await become('applied 1', 'open 3')
    expect(await story.letters()).toMatchObject([{ offset: 10 }, { offset: 11, code: 'row_refused' }])
    await story.retryLetters(new Map([[11, sale('-49.50')]]))
    await become('applied 1', 'applied 3')
    expect(await story.counts()).toEqual({ rows: 32, places: 32 })
    expect(await story.accounts()).toEqual({ applied: 32, deadLettered: 0, unaccounted: 0 })
  })

  it('is nothing that a cut body makes of it: what is cut is sent again', async () => {
    const story = new Story(world)
    await story.appendOnce(60)
    let cuts = 3
    const cutting = new Proxy(world.clickhouse, {
      get(client, name) {
        if (name !== 'exec') return Reflect.get(client, name, client)
        return async (insert: Parameters<typeof client.exec>[0] & { values?: AsyncIterable<Buffer> }) => {
          if (insert.values === undefined || cuts-- <= 0) return client.exec(insert as never)
          const whole = Buffer.concat(await Array.fromAsync(insert.values))
          const values = Readable.from([whole.subarray(0, whole.length - 40)], { objectMode: false })
          return client.exec({ ...insert, values } as never)
        }
      },
    })
    await using worker = story.start({ clickhouse: cutting })
    await story.untilWhole()
    expect(worker.errors.length).toBeGreaterThan(0)
    expect(await story.letters()).toEqual([])
  })

  it('is hardly ever met: a date of more than 32 bits is parked before', async () => {
    const story = new Story(world, 'campaigns')
    const data = { source: 'ads', amount: '1', currency: 'EUR', day: '2026-11-20' }
    await story.appendEvents([{ type: 'spend_recorded', time: '2026-11-20T10:00:00.000Z', data }])
    const day = codec.encode('spend_recorded', data)
    const wide = Buffer.concat([day.subarray(0, -3), Buffer.from([0xfe, 0xff, 0xff, 0xff, 0xff, 0x01])])
    await story.appendValue(0, wide)
    await using worker = story.start()
    await story.untilRead()
    expect(await story.counts()).toEqual({ rows: 1, places: 1 })
    expect(await story.letters()).toMatchObject([{ offset: 1, code: 'record_malformed' }])
    expect(worker.lasting).toEqual([])
  })
})
