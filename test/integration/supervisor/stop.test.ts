import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { kafkaProxy, PRODUCE } from '../../faults/kafka-proxy.ts'
import { until } from '../../processes.ts'
import { event, startSenders } from './senders.ts'
import { Started, type Surroundings, signalTo, surroundings } from './started.ts'

let around: Surroundings
beforeAll(async () => {
  around = await surroundings(inject('parts'))
})
afterAll(() => around[Symbol.asyncDispose]())

/** A request whose body is announced and sent in part; answers with what came back until the end. */
const begin = async (port: number, type: string, body: string) => {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  let answer = ''
  socket.on('data', (piece) => {
    answer += piece.toString()
  })
  socket.on('error', () => {})
  const closed = once(socket, 'close')
  socket.write(
    `POST /api/events HTTP/1.1\r\nhost: embudo\r\ncontent-type: ${type}\r\ntransfer-encoding: chunked\r\n\r\n`,
  )
  socket.write(`${Buffer.byteLength(body).toString(16)}\r\n${body}\r\n`)
  return async () => {
    await closed
    return answer
  }
}

const ask = async (started: Started, path: string): Promise<number> => {
  const response = await fetch(`${started.address}${path}`, { headers: { connection: 'close' } })
  await response.arrayBuffer()
  return response.status
}

/** Its answer may be looked at later, also where there is none. */
const postTo = (started: Started, id: string): Promise<Response> => {
  const headers = { 'content-type': 'application/json' }
  const answer = fetch(`${started.address}/api/events`, { method: 'POST', headers, body: event(id) })
  answer.catch(() => {})
  return answer
}

/** Of all processes that a scrape finds. */
const inFlightBytes = async (started: Started): Promise<number> => {
  const response = await fetch(`${started.address}/metrics`, { headers: { connection: 'close' } })
  const found = (await response.text()).matchAll(/^embudo_ingest_in_flight_bytes\{.*\} (\d+)$/gm)
  return found.reduce((sum, [, bytes]) => sum + Number(bytes), 0)
}

const isRefused = async (port: number): Promise<boolean> => {
  const socket = connect(port, '127.0.0.1')
  const outcome = await Promise.race([
    once(socket, 'connect').then(() => false),
    once(socket, 'error').then(() => true),
  ]).catch(() => true)
  socket.destroy()
  return outcome
}

/**
 * A process that is told to stop has its time. A case that fails where more than that went by, since `told` was
 * called, is made again.
 */
const inTime = async (limitMs: number, attempt: (told: () => void) => Promise<void>, attempts = 5) => {
  let toldAt = Number.POSITIVE_INFINITY
  try {
    await attempt(() => {
      toldAt = performance.now()
    })
  } catch (error) {
    if (attempts === 1 || !(performance.now() - toldAt > limitMs)) throw error
    await inTime(limitMs, attempt, attempts - 1)
  }
}

describe('SIGTERM', () => {
  it.each([
    ['1', 'SIGTERM'],
    ['2', 'SIGINT'],
  ] as const)(
    'ends %s of them at full speed with status 0, as %s does, and all that was accepted is in the log',
    async (count, signal) => {
      const settings = { EMBUDO_INGEST_PROCESSES: count, EMBUDO_STOP_DELAY_MS: '1000' }
      await using started = await Started.start({ ...around.settings, ...settings })
      const senders = startSenders(started, { senders: 32 })
      await until('events are accepted', () => senders.accepted.length > 1_000)
      const toldAt = performance.now()
      started.signal(signal)
      // A terminal's Ctrl-C goes to all of its processes.
      if (signal === 'SIGINT') for (const pid of started.pids) signalTo(pid, signal)
      // A second one changes nothing.
      started.signal('SIGTERM')
      expect(await started.ended()).toBe(0)
      expect(performance.now() - toldAt).toBeGreaterThan(1_000)
      await senders.stop()
      expect(Object.keys(senders.outcomes)).toContain('202')
      const inLog = new Set((await around.log()).map(({ id }) => id))
      expect(senders.accepted.filter((id) => !inLog.has(id))).toEqual([])
    },
  )

  it('says no at /readyz first, and takes events until the delay is over', async () => {
    const settings = { EMBUDO_INGEST_PROCESSES: '2', EMBUDO_STOP_DELAY_MS: '300000' }
    await using started = await Started.start({ ...around.settings, ...settings })
    started.signal('SIGTERM')
    await until('all say no', async () => {
      for (let n = 0; n < 8; n++) if ((await ask(started, '/readyz')) !== 503) return false
      return true
    })
    const headers = { 'content-type': 'application/json', connection: 'close' }
    const taken = await fetch(`${started.address}/api/events`, {
      method: 'POST',
      headers,
      body: event('late'),
    })
    expect(taken.status).toBe(202)
    started.signal('SIGKILL')
  })

  it.each(['1', '2'])('ends %s of them while they start with status 0', async (count) => {
    let connections = 0
    // A broker that takes connections and says nothing.
    const broker = createServer((socket) => {
      socket.on('error', () => {})
      connections += 1
      if (connections === Number(count)) started.signal('SIGTERM')
    })
    await once(broker.listen(0, '127.0.0.1'), 'listening')
    const { port } = broker.address() as AddressInfo
    // So many that it has not given them all up by the time that it is told.
    const brokers = Array.from({ length: 20 }, () => `127.0.0.1:${port}`).join()
    const settings = { KAFKA_BROKERS: brokers, EMBUDO_INGEST_PROCESSES: count }
    await using started = new Started({ ...around.settings, ...settings })
    expect(await started.ended()).toBe(0)
    expect(connections).toBeGreaterThanOrEqual(Number(count))
    broker.close()
  })

  it('waits a while for who has begun: then it answers for lines, and cuts off what never ends', () =>
    inTime(12_000, async (told) => {
      await using started = await Started.start({ ...around.settings, EMBUDO_INGEST_PROCESSES: '2' })
      const whole = await begin(started.port, 'application/json', '{"type": ')
      const lines = await begin(
        started.port,
        'application/x-ndjson',
        `${event('stopped-1')}\n${event('stopped-2')}\n`,
      )
      // What a stream counts from the beginning, and what every request does.
      await until('both are there', async () => (await inFlightBytes(started)) >= (64 + 2 * 4) * 1024)
      told()
      expect(await started.stop()).toBe(0)
      expect(await whole()).not.toContain('HTTP/1.1 2')
      expect(await lines()).toContain('"stoppedAt":')
    }))

  it('lets it finish what it has begun: an event on its way to the broker is answered for', () =>
    inTime(8_000, async (told) => {
      await using proxy = await kafkaProxy(inject('parts').kafkaBrokers)
      await using started = await Started.start({ ...around.settings, KAFKA_BROKERS: proxy.address })
      const id = `on-its-way-${randomUUID()}`
      proxy.judge = (apiKey) => (apiKey === PRODUCE ? 'keep back' : 'pass')
      const answer = postTo(started, id)
      await until('it waits for the broker', () => proxy.count(PRODUCE) > 0)
      told()
      started.signal('SIGTERM')
      await until('the port is closed', () => isRefused(started.port))
      proxy.judge = () => 'pass'
      await proxy.deliverLate()
      expect((await answer).status).toBe(202)
      expect(await started.ended()).toBe(0)
      expect((await around.log()).filter((record) => record.id === id)).toHaveLength(1)
    }))

  it('ends it also when the broker has gone, and what waited for it is not accepted', () =>
    inTime(8_000, async (told) => {
      await using proxy = await kafkaProxy(inject('parts').kafkaBrokers)
      await using started = await Started.start({
        ...around.settings,
        KAFKA_BROKERS: proxy.address,
        EMBUDO_INGEST_PROCESSES: '2',
        EMBUDO_APPEND_TIMEOUT_MS: '3000',
      })
      proxy.judge = (apiKey) => (apiKey === PRODUCE ? 'swallow the answer' : 'pass')
      const answer = postTo(started, 'never')
      await until('it waits for the broker', () => proxy.count(PRODUCE) > 0)
      told()
      expect(await started.stop()).toBe(0)
      expect((await answer).status).toBe(503)
    }))
})
