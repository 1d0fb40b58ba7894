import { randomUUID } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { Registry } from 'prom-client'
import { expect, inject, it } from 'vitest'
import { createApp } from '../../src/http/app.ts'
import { createHttpServer } from '../../src/http/server.ts'
import { ingestion } from '../../src/ingest/ingestion.ts'
import { uuidV7 } from '../../src/ingest/uuid-v7.ts'
import { eventValidator } from '../../src/ingest/validate.ts'
import { recordEncoder } from '../../src/log/event-record.ts'
import { kafkaLog } from '../../src/log/kafka-log.ts'
import { passThrough } from '../../src/privacy/pass-through.ts'
import { attended, catalog, codec } from '../integration/http/http-face.ts'
import { head, post, RawClient } from '../integration/http/raw-client.ts'
import { eventually, until } from '../processes.ts'
import { handMovedClock } from './hand-moved-clock.ts'
import { kafkaProxy, PRODUCE } from './kafka-proxy.ts'

const KIB = 1024
const deliveryTimeoutMs = 5_000
/** Of what is not under test. */
const patient = { connectTimeoutMs: 60_000, requestTimeoutMs: 60_000 }

/** The face of ingestion before a broker that can be made to fall silent. */
const start = async (maxInFlightBytes: number) => {
  const { kafkaBrokers } = inject('parts')
  const proxy = await kafkaProxy(kafkaBrokers)
  const clientId = 'ingest-broker'
  const beside = await kafkaLog({ brokers: [kafkaBrokers], clientId, ...patient })
  const clock = handMovedClock()
  const options = { brokers: [proxy.address], clientId, deliveryTimeoutMs }
  const open = () => kafkaLog(options, { clock }).catch(() => undefined)
  const log = (await eventually(open, (log) => log !== undefined))!
  const prefix = `${randomUUID()}.`
  await beside.ensureTopics(
    catalog.topics.map(({ name, partitions }) => ({
      ...{ topic: prefix + name, partitions, replication: 1, settings: {} },
    })),
  )
  const newId = uuidV7()
  const errors: unknown[] = []
  const taking = ingestion(
    {
      ...{ catalog, prefix, log, newId, registry: new Registry() },
      validate: eventValidator({ catalog, personal: passThrough, nowMs: Date.now, newId }),
      toRecord: recordEncoder(codec, prefix),
      wait: (ms) => delay(ms),
      onError: (error) => errors.push(error),
    },
    { maxInFlightBytes, maxBusyMs: 500 },
  )
  const http = createHttpServer({
    ingest: taking.take,
    app: createApp({
      routes: taking.routes,
      info: { title: 'embudo', version: '0', description: '' },
      onError: (error) => errors.push(error),
      admit: taking.admit,
    }),
  })
  await new Promise<void>((listening) => http.server.listen(0, '127.0.0.1', listening))
  const count = async () => {
    const bounds = await beside.bounds(`${prefix}leads`)
    return bounds.reduce((sum, { start, end }) => sum + end - start, 0)
  }
  return {
    ...{ proxy, clock, errors, count, admission: taking.admission },
    port: (http.server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      await http.drain(1_000)
      await log[Symbol.asyncDispose]()
      await beside[Symbol.asyncDispose]()
      await proxy[Symbol.asyncDispose]()
    },
  }
}

const one = JSON.stringify(attended())
const lead = '{"email":"ada@example.com"}'
const line = { 'content-type': 'application/x-ndjson' }

it('a broker that falls silent: every request is answered in time, nothing stays held, and it goes on by itself', async () => {
  await using face = await start(256 * KIB)
  using first = await RawClient.connect(face.port)
  expect((await first.send(post(one)).answer()).status).toBe(202)
  face.proxy.judge = (apiKey) => (apiKey === PRODUCE ? 'swallow the answer' : 'pass')

  const requests = [
    post(one),
    post(`[${one},${one}]`),
    post(`${one}\n`.repeat(20), line),
    post(lead, {}, '/api/leads'),
    Buffer.concat([Buffer.from(head({ 'content-length': one.length })), Buffer.from(one)]),
  ]
  const clients = await Promise.all(
    ['127.0.0.1', '127.0.0.2', '127.0.0.3'].flatMap((from) =>
      [...requests, ...Array.from({ length: 30 }, () => post(one))].map(async (bytes) =>
        (await RawClient.connect(face.port, from)).send(bytes),
      ),
    ),
  )
  const isRefused = (client: RawClient) => client.answers.some(({ status }) => status === 429)
  await until('there is no room any more', () => clients.some(isRefused))
  const time = setInterval(() => face.clock.pass(deliveryTimeoutMs / 10), 20)
  const answers = await Promise.all(clients.map((client) => client.answer()))
  clearInterval(time)
  for (const client of clients) client[Symbol.dispose]()

  const codes = new Set(answers.map(({ body }) => JSON.parse(body).code))
  for (const { status, headers, body } of answers) {
    expect([429, 503]).toContain(status)
    expect(JSON.parse(body)).toMatchObject({ retriable: true })
    expect(Number(headers['retry-after'])).toBeGreaterThanOrEqual(1)
    expect(Number(headers['retry-after'])).toBeLessThanOrEqual(30)
  }
  expect(codes).toContain('too_many_requests')
  expect([...codes].some((code) => ['log_timeout', 'log_unavailable'].includes(code))).toBe(true)
  await until('nothing is held', () => face.admission.heldBytes === 0 && face.admission.callers === 0)

  face.proxy.judge = () => 'pass'
  const before = await face.count()
  await until('it takes events again', async () => {
    using again = await RawClient.connect(face.port)
    return (await again.send(post(one)).answer()).status === 202
  })
  expect(await face.count()).toBeGreaterThan(before)
  expect(face.errors).toEqual([])
})

it('many callers at once: what was answered with 202 is in the log, and the rest was sent away', async () => {
  await using face = await start(2048 * KIB)
  const answers = await Promise.all(
    Array.from({ length: 8 }, async (_, caller) => {
      using client = await RawClient.connect(face.port, `127.0.0.${caller + 1}`)
      client.send(Buffer.concat(Array.from({ length: 200 }, () => post(one))))
      await client.answer(200)
      return client.answers.map(({ status }) => status)
    }),
  )
  const statuses = answers.flat()
  expect(statuses.filter((status) => ![202, 429, 503].includes(status))).toEqual([])
  expect(await face.count()).toBe(statuses.filter((status) => status === 202).length)
  // All at once they want three times of what may be in flight, and nobody was kept out by the others.
  for (const of of answers) expect(of).toContain(202)
  expect(face.errors).toEqual([])
})
