import { describe, expect, inject, it } from 'vitest'
import { type KafkaLogOptions, kafkaLog } from '../../src/log/kafka-log.ts'
import type { Log } from '../../src/log/port.ts'
import { collect, isFailure, newTopic, readAll, record } from '../contract/log.contract.ts'
import { eventually, until } from '../processes.ts'
import { handMovedClock } from './hand-moved-clock.ts'
import { API_VERSIONS, FETCH, type KafkaProxy, kafkaProxy, PRODUCE, type Verdict } from './kafka-proxy.ts'

const broker = inject('parts').kafkaBrokers
const deliveryTimeoutMs = 10_000

/** A request without an answer is soon tried again; the first one of all may take that more than once. */
const through = async (
  proxy: KafkaProxy,
  clock = handMovedClock(),
  given: Pick<KafkaLogOptions, 'maxBatchBytes' | 'requestTimeoutMs'> = {},
): Promise<Log> => {
  const options = { deliveryTimeoutMs, requestTimeoutMs: 250, ...given }
  const open = () =>
    kafkaLog({ brokers: [proxy.address], clientId: 'faults', ...options }, { clock }).catch(() => undefined)
  return (await eventually(open, (log) => log !== undefined))!
}

/** A verdict on the appends of some records, also when they are tried again after they were given up. */
const appendsOf =
  (verdict: Verdict, ...values: string[]): KafkaProxy['judge'] =>
  (apiKey, _nth, request) =>
    apiKey === PRODUCE && values.some((value) => request.includes(value)) ? verdict : 'pass'

/** What is not under test, with time for it. */
const direct = () => kafkaLog({ brokers: [broker], clientId: 'faults', ...patient })
const patient = { connectTimeoutMs: 60_000, requestTimeoutMs: 60_000, deliveryTimeoutMs: 600_000 }

describe('appends over connections that break', () => {
  it.each<Verdict>(['cut before the broker', 'cut before the answer', 'swallow the answer'])(
    'are there once and in order when every third request is lost (%s)',
    async (loss) => {
      await using proxy = await kafkaProxy(broker)
      await using log = await through(proxy)
      await using beside = await direct()
      const topic = await newTopic(beside, 2)
      proxy.judge = (apiKey, nth) => (apiKey === PRODUCE && nth % 3 === 0 ? loss : 'pass')

      const values: string[] = []
      const appends: ReturnType<typeof log.append>[] = []
      for (let call = 0; call < 40; call++) {
        const value = `${call}`
        values.push(value)
        appends.push(log.append([record(topic, 0, value), record(topic, 1, value)]))
        await until('they are being sent', () => proxy.count(PRODUCE) * 3 >= call)
      }
      const outcomes = await Promise.all(appends)

      expect(proxy.count(PRODUCE)).toBeGreaterThan(6)
      expect(outcomes.flat().filter(isFailure)).toEqual([])
      for (const partition of [0, 1]) {
        const records = await readAll(beside, topic, partition)
        expect(records.map(({ value }) => String(value))).toEqual(values)
        const places = outcomes.map((of) => of[partition])
        expect(places).toEqual(values.map((_, offset) => ({ topic, partition, offset })))
      }
    },
  )

  it('are answered by the delivery timeout when the broker falls silent, and go on in order afterwards', async () => {
    await using proxy = await kafkaProxy(broker)
    const clock = handMovedClock()
    await using log = await through(proxy, clock)
    await using beside = await direct()
    const topic = await newTopic(beside, 1)
    await log.append([record(topic, 0, 'before')])
    proxy.judge = (apiKey) => (apiKey === PRODUCE ? 'swallow the answer' : 'pass')

    const silent = log.append([record(topic, 0, 'of unknown outcome')])
    await until('the broker has it', () => proxy.swallowed > 0)
    const queued = log.append([record(topic, 0, 'never sent')])
    clock.pass(deliveryTimeoutMs)
    expect(await silent).toMatchObject([{ failed: true, code: 'log_timeout', retriable: true }])
    expect(await queued).toMatchObject([{ failed: true, retriable: true }])

    proxy.judge = () => 'pass'
    const after = await log.append([record(topic, 0, 'after'), record(topic, 0, 'after that')])
    expect(after.filter(isFailure)).toEqual([])
    const values = (await readAll(beside, topic, 0)).map(({ value }) => String(value))
    expect(values.filter((value) => value !== 'never sent')).toEqual([
      'before',
      'of unknown outcome',
      'after',
      'after that',
    ])
  })

  it('that were given up do not arrive behind later ones', async () => {
    await using proxy = await kafkaProxy(broker)
    const clock = handMovedClock()
    await using log = await through(proxy, clock)
    await using beside = await direct()
    const topic = await newTopic(beside, 1)
    await log.append([record(topic, 0, 'before')])
    proxy.judge = appendsOf('keep back', 'late')
    const sentBefore = proxy.count(PRODUCE)
    const late = log.append([record(topic, 0, 'late')])
    await until('it is sent', () => proxy.count(PRODUCE) > sentBefore)
    clock.pass(deliveryTimeoutMs)
    expect(await late).toMatchObject([{ failed: true, code: 'log_timeout' }])
    await log.append([record(topic, 0, 'after')])

    await proxy.deliverLate()

    await log.append([record(topic, 0, 'last')])
    const values = (await readAll(beside, topic, 0)).map(({ value }) => String(value))
    expect(values).toEqual(['before', 'after', 'last'])
  })

  it('of one call are not there in their second part alone', async () => {
    await using proxy = await kafkaProxy(broker)
    const clock = handMovedClock()
    await using log = await through(proxy, clock, { maxBatchBytes: 110 })
    await using beside = await direct()
    const topic = await newTopic(beside, 1)
    await log.append([record(topic, 0, 'before')])
    proxy.judge = appendsOf('cut before the broker', 'blocking', 'earlier')

    const sent = proxy.count(PRODUCE)
    const blocking = log.append([record(topic, 0, 'blocking')])
    await until('it is sent', () => proxy.count(PRODUCE) > sent)
    const earlier = log.append([record(topic, 0, 'earlier')])
    clock.pass(300)
    // The first joins the earlier call's batch and shares its deadline, the others have later ones.
    const call = log.append(['first', 'second', 'third'].map((value) => record(topic, 0, value)))
    clock.pass(deliveryTimeoutMs - 300)
    expect(await blocking).toMatchObject([{ failed: true }])
    expect(await earlier).toMatchObject([{ failed: true }])

    expect((await call).map(isFailure)).toEqual([true, true, true])
    await log.append([record(topic, 0, 'after')])
    const values = (await readAll(beside, topic, 0)).map(({ value }) => String(value))
    expect(values).toEqual(['before', 'after'])
  })

  it('that were given up before there was a connection are not sent over it', async () => {
    await using proxy = await kafkaProxy(broker)
    const clock = handMovedClock()
    await using log = await through(proxy, clock, { requestTimeoutMs: 60_000 })
    await using beside = await direct()
    const topic = await newTopic(beside, 1)
    proxy.judge = (apiKey) => (apiKey === API_VERSIONS ? 'keep back' : 'pass')
    const greeted = proxy.count(API_VERSIONS)
    const givenUp = log.append([record(topic, 0, 'given up')])
    await until('a connection is being opened', () => proxy.count(API_VERSIONS) > greeted)
    clock.pass(deliveryTimeoutMs)
    expect(await givenUp).toMatchObject([{ failed: true, code: 'log_unavailable' }])

    proxy.judge = () => 'pass'
    await proxy.deliverLate()

    await log.append([record(topic, 0, 'after')])
    const values = (await readAll(beside, topic, 0)).map(({ value }) => String(value))
    expect(values).toEqual(['after'])
  })

  it('are answered when no broker can be reached any more', async () => {
    const proxy = await kafkaProxy(broker)
    const clock = handMovedClock()
    await using log = await through(proxy, clock)
    await using beside = await direct()
    const topic = await newTopic(beside, 1)
    await proxy[Symbol.asyncDispose]()
    const appended = log.append([record(topic, 0, 'a')])
    clock.pass(deliveryTimeoutMs)
    const [outcome] = await appended
    expect(outcome).toMatchObject({ failed: true, code: 'log_unavailable', retriable: true })
  })
})

describe('reads over connections that break', () => {
  it.each<Verdict>(['cut before the broker', 'cut before the answer'])(
    'go on without a gap and without a repeat (%s)',
    async (loss) => {
      await using proxy = await kafkaProxy(broker)
      await using log = await through(proxy)
      await using beside = await direct()
      const topic = await newTopic(beside, 1)
      proxy.judge = (apiKey, nth) => (apiKey === FETCH && nth % 3 === 0 ? loss : 'pass')
      const stop = new AbortController()
      await using reader = log.reader()
      const reading = collect(reader, topic, 0, 0, stop.signal)
      for (let call = 0; call < 12; call++) {
        await beside.append([record(topic, 0, `${call}`)])
        await until('it is read', () => reading.records.length === call + 1)
      }
      stop.abort()
      expect((await reading).map(({ offset }) => offset)).toEqual([...Array(12).keys()])
      expect(proxy.count(FETCH)).toBeGreaterThan(6)
    },
  )
})

it('is opened although an answer is lost', async () => {
  await using proxy = await kafkaProxy(broker)
  proxy.judge = (apiKey, nth) => (apiKey === API_VERSIONS && nth === 1 ? 'swallow the answer' : 'pass')
  const options = { brokers: [proxy.address], clientId: 'faults', requestTimeoutMs: 1_000 }
  await using log = await kafkaLog(options)
  await expect(log.ping()).resolves.toBeUndefined()
  expect(proxy.swallowed).toBe(1)
})

it('says so when no broker answers at the start', async () => {
  await expect(kafkaLog({ brokers: ['127.0.0.1:1'], clientId: 'faults' })).rejects.toMatchObject({
    code: 'log_unavailable',
    retriable: true,
  })
})
