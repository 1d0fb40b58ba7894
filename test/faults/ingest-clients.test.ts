import { gzipSync } from 'node:zlib'
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { attended, startFace } from '../integration/http/http-face.ts'
import { chunk, head, post, RawClient } from '../integration/http/raw-client.ts'
import { until } from '../processes.ts'

type Face = Awaited<ReturnType<typeof startFace>>

const json = JSON.stringify
const one = json(attended())
const streamed = { 'content-type': 'application/x-ndjson', 'transfer-encoding': 'chunked' }
const MIB = 1024 * 1024

/** No time runs out by itself: a test that is about one makes it short with `restart`. */
const limits = { bodyDeadlineMs: 120_000, idleMs: 50, chunkEvents: 10 }
const http = { headersTimeoutMs: 120_000, idleTimeoutMs: 120_000, sweepMs: 50, maxConnections: 20 }

let face: Face
let clients: RawClient[] = []
const restart = async (own: { limits?: Partial<typeof limits>; http?: Partial<typeof http> }) => {
  await face[Symbol.asyncDispose]()
  face = await startFace({ limits: { ...limits, ...own.limits }, http: { ...http, ...own.http } })
}
const connect = async (from?: string): Promise<RawClient> => {
  const client = await RawClient.connect(face.port, from)
  clients.push(client)
  return client
}
const connections = (): Promise<number> =>
  new Promise((resolve, reject) => {
    face.http.server.getConnections((error, count) => (error ? reject(error) : resolve(count)))
  })
const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length

// Node warns where listeners pile up.
const warnings: Error[] = []
const onWarning = (warning: Error) => warnings.push(warning)
process.on('warning', onWarning)
afterAll(() => {
  process.off('warning', onWarning)
  expect(warnings).toEqual([])
})

let timersBefore = 0
beforeEach(async () => {
  timersBefore = timers()
  face = await startFace({ limits, http })
})
afterEach(async () => {
  for (const client of clients) client[Symbol.dispose]()
  clients = []
  await until('no connection is left', async () => (await connections()) === 0)
  await until('nothing is held', () => face.admission.heldBytes === 0 && face.admission.callers === 0)
  expect(face.errors).toEqual([])
  await face[Symbol.asyncDispose]()
  await until('no timer is left', () => timers() <= timersBefore)
})

/** As one piece, which is read as one. */
const together = (head: string, body: Buffer) => Buffer.concat([Buffer.from(head), body])

/** The server goes on as if nothing had been. Where its patience is short, one that stood still is let go as well. */
const stillServes = async ({ isShort = false } = {}): Promise<void> => {
  const client = (await connect('127.0.0.9')).send(post(one))
  await until('it is answered', () => client.answers.length > 0 || (isShort && client.socket.closed))
  const status = client.answers[0]?.status ?? 408
  return isShort && status === 408 ? await stillServes({ isShort }) : expect(status).toBe(202)
}

it('a client that writes the whole address, as proxies do, is answered', async () => {
  const client = await connect()
  client.send(post(one, {}, 'http://embudo/api/events'))
  expect((await client.answer()).status).toBe(202)
})

describe('a client that closes its side', () => {
  it('behind a whole request is answered', async () => {
    const client = await connect()
    client.send(post(one))
    client.socket.end()
    expect((await client.answer()).status).toBe(202)
    await client.closed()
    await stillServes()
  })

  it('within a body is told so', async () => {
    const client = await connect()
    client.send(head({ ...streamed }), chunk(`${one}\n`))
    client.socket.end()
    expect((await client.answer()).status).toBe(400)
    await client.closed()
    await stillServes()
  })
})

describe('a slow client', () => {
  it('whose head does not end is told so, and let go', async () => {
    await restart({ http: { headersTimeoutMs: 2_000 } })
    const client = await connect()
    client.send('POST /api/events HTTP/1.1\r\nhost: x\r\n')
    const { status, body } = await client.answer()
    expect(status).toBe(408)
    expect(JSON.parse(body)).toMatchObject({ code: 'request_timeout', retriable: true })
    await client.closed()
    await stillServes({ isShort: true })
  })

  it.each([
    ['never comes', { 'content-length': 100 }, ''],
    ['stops in the middle', { 'content-length': 100 }, '{"type":'],
    ['stops in the middle of a chunk', { 'transfer-encoding': 'chunked' }, 'ff\r\n{"type":'],
    [
      'stops in the middle, compressed',
      { 'content-length': 100, 'content-encoding': 'gzip' },
      gzipSync(one).subarray(0, 20),
    ],
  ])('whose body %s is told so, and let go', async (_how, headers, beginning) => {
    await restart({ limits: { bodyDeadlineMs: 400 } })
    const client = await connect()
    client.send(head(headers as Record<string, string>), beginning)
    const { status, headers: answered, body } = await client.answer()
    expect(status).toBe(408)
    expect(JSON.parse(body)).toMatchObject({ code: 'body_timeout', retriable: true })
    expect(face.admission.heldBytes).toBe(0)
    if (answered.connection === 'close') await client.closed()
    await stillServes()
  })

  it('whose body drips has no longer than any other', async () => {
    await restart({ limits: { bodyDeadlineMs: 400 } })
    const client = await connect()
    client.send(head({ 'content-length': 1_000 }))
    const drip = setInterval(() => client.send(' '), 20)
    expect((await client.answer()).status).toBe(408)
    clearInterval(drip)
  })

  it('whose small body was refused and still does not come is let go', async () => {
    const client = await connect()
    client.send(head({ 'content-length': 100, 'content-type': 'text/plain' }))
    expect((await client.answer()).status).toBe(415)
    await client.closed()
  })

  it('on whose stream lines come one by one: what has come is appended while it goes on', async () => {
    await using patient = await startFace({ limits: { ...limits, chunkEvents: 10_000 }, http })
    using client = await RawClient.connect(patient.port)
    client.send(head(streamed))
    const drip = setInterval(() => client.send(chunk(`${one}\n`)), 20)
    await until('some are appended', async () => (await patient.appended()).length > 0)
    clearInterval(drip)
    client.send('0\r\n\r\n')
    const { status, body } = await client.answer()
    expect(status).toBe(202)
    expect(JSON.parse(body).accepted).toBe((await patient.appended()).length)
  })

  it('on whose stream nothing moves any more: what has come is appended, and the answer says from where to send', async () => {
    await restart({ limits: { bodyDeadlineMs: 400 } })
    const client = await connect()
    client.send(together(head(streamed), chunk(`${one}\n${one}\n${one}\n{"type":`)))
    await until('three are appended', async () => (await face.appended()).length === 3)
    // Held on are the line that has not ended, and what a stream has from the beginning.
    expect(face.admission.heldBytes).toBeLessThan(70_000)
    const { status, headers, body } = await client.answer()
    expect(status).toBe(207)
    expect(JSON.parse(body)).toMatchObject({
      accepted: 3,
      stoppedAt: 3,
      stoppedBy: { code: 'body_timeout', retriable: true },
    })
    expect(headers['embudo-position']).toMatch(/^embudo\.leads:/)
    await client.closed()
  })

  it('whose stream is slow, but moves, is served to its end', async () => {
    let aheadMs = 0
    const { now } = performance
    using _ = vi.spyOn(performance, 'now').mockImplementation(() => now.call(performance) + aheadMs)
    const client = await connect()
    client.send(head(streamed))
    for (let sent = 1; sent <= 15; sent++) {
      client.send(chunk(`${one}\n`))
      await until('it is appended', async () => (await face.appended()).length === sent)
      // In all longer than one line may take.
      aheadMs += limits.bodyDeadlineMs / 4
    }
    const { status, body } = await client.send('0\r\n\r\n').answer()
    expect([status, JSON.parse(body)]).toEqual([202, { accepted: 15, rejected: 0, errors: [] }])
  })

  it('whose line drips is told so', async () => {
    await restart({ limits: { bodyDeadlineMs: 400 } })
    const client = await connect()
    client.send(together(head(streamed), chunk(`${one}\n`)))
    const drip = setInterval(() => client.send(chunk('x')), 20)
    const { body } = await client.answer()
    clearInterval(drip)
    expect(JSON.parse(body)).toMatchObject({ accepted: 1, stoppedAt: 1, stoppedBy: { code: 'body_timeout' } })
  })

  it('that never reads its answers is let go', async () => {
    await restart({ http: { idleTimeoutMs: 2_000 } })
    const client = await connect()
    client.socket.pause()
    const bad = `[${'{},'.repeat(9_999)}{}]`
    for (let sent = 0; sent < 10; sent++) client.send(post(bad))
    await until('answers wait', () => face.admission.heldBytes > 9_999 * 256)
    await until('the server has let it go', async () => (await connections()) === 0)
    await until('nothing is held', () => face.admission.heldBytes === 0)
    await stillServes({ isShort: true })
  })
})

describe('a client that goes away', () => {
  const zipped = gzipSync(`${one}\n`.repeat(50_000))
  it.each([
    ['in its head', ['POST /api/ev']],
    ['before its body', [head({ 'content-length': 5 * MIB })]],
    ['in its body', [head({ 'content-length': 5 * MIB }), ' '.repeat(MIB)]],
    ['in a chunk', [head({ 'transfer-encoding': 'chunked' }), 'fffff\r\n', ' '.repeat(1_000)]],
    [
      'in a compressed body',
      [head({ 'content-length': 5_000, 'content-encoding': 'zstd' }), Buffer.from('28b52ffd', 'hex')],
    ],
    ['in a stream', [head(streamed), chunk(`${one}\n`.repeat(35)), 'ff\r\n{']],
    [
      'in a compressed stream',
      [head({ ...streamed, 'content-encoding': 'gzip' }), chunk(zipped.subarray(0, zipped.length - 100))],
    ],
    ['while it is sent away', [head({ 'content-length': 50 * MIB }), ' '.repeat(MIB)]],
    ['having asked whether to send', [head({ 'content-length': 100, expect: '100-continue' })]],
    ['before its answer', [post(one)]],
    ['before its answers', [post(one), post(one), post(`[${one},${one}]`), post('nope')]],
  ] as [string, (string | Buffer)[]][])('%s leaves nothing', async (_when, pieces) => {
    const release = face.log.faults.holdAppends()
    for (let times = 0; times < 5; times++) {
      const client = await connect()
      client.send(...pieces)
      await until('it has been sent', () => client.socket.writableLength === 0)
      if (times % 2 === 0) client.socket.resetAndDestroy()
      else client.socket.destroy()
    }
    release()
    await until('nothing is held', () => face.admission.heldBytes === 0)
    await stillServes()
  })
})

describe('a body that is not wanted', () => {
  it.each([
    ['too large, announced', head({ 'content-length': 1_000 * MIB }), 413],
    ['too large, in chunks', `${head({ 'transfer-encoding': 'chunked' })}7fffffff\r\n`, 413],
    ['of another type', `${head({ 'content-type': 'text/plain', 'content-length': 1_000 * MIB })}`, 415],
    ['for an address where nothing is', head({ 'content-length': 1_000 * MIB }, '/nothing'), 404],
    [
      'for an address that reads none',
      head({ 'content-length': 1_000 * MIB }, '/livez').replace('POST', 'GET'),
      200,
    ],
  ])('%s: the answer can be read, the rest is not', async (_what, beginning, status) => {
    const client = await connect()
    client.send(beginning)
    const piece = Buffer.alloc(MIB, 32)
    let sent = 0
    const more = () => {
      while (sent < 200 && client.socket.writableLength < 4 * MIB && !client.socket.destroyed) {
        client.send(piece)
        sent += 1
      }
    }
    client.socket.on('drain', more)
    more()
    expect((await client.answer()).status).toBe(status)
    await until('the connection ends', () => client.socket.destroyed || client.socket.readableEnded)
    // No more than was allowed, what is thrown away, and what the machine's own buffers take; Node itself
    // throws away what follows an answer that was not a refusal, as long as that may take.
    if (status !== 200) expect(client.socket.bytesWritten).toBeLessThan(60 * MIB)
    expect(face.admission.heldBytes).toBe(0)
  })

  it('is not asked for: Expect: 100-continue is answered with what is wrong', async () => {
    for (const [headers, status] of [
      [{ 'content-length': 1_000 * MIB }, 413],
      [{ 'content-type': 'text/plain', 'content-length': 10 }, 415],
    ] as const) {
      const client = await connect()
      const answer = await client.send(head({ ...headers, expect: '100-continue' })).answer()
      expect([answer.status, answer.headers.connection]).toEqual([status, 'close'])
      await client.closed()
    }
  })

  it.each([
    ['an event', { 'content-type': 'application/json' }, '/api/events', one],
    ['a stream', { 'content-type': 'application/x-ndjson' }, '/api/events', `${one}\n`],
    ['a lead', { 'content-type': 'application/json' }, '/api/leads', json({ email: 'ada@example.com' })],
  ])('%s that is wanted is asked for', async (_what, headers, path, body) => {
    const client = await connect()
    client.send(head({ ...headers, 'content-length': body.length, expect: '100-continue' }, path))
    expect((await client.answer()).status).toBe(100)
    expect((await client.send(body).answer(2)).status).toBe(202)
    expect(client.answers).toHaveLength(2)
  })
})

describe('heads', () => {
  it('too large: 431', async () => {
    const client = await connect()
    const { status, body } = await client.send(head({ 'x-large': 'x'.repeat(20_000) })).answer()
    expect([status, JSON.parse(body).code]).toEqual([431, 'headers_too_large'])
    await client.closed()
  })

  const smuggled = 'POST /api/events HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n'
  it.each([
    ['a length and chunks', `${smuggled}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`],
    ['chunks and a length', `${smuggled}transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n`],
    ['two lengths', `${smuggled}content-length: 5\r\ncontent-length: 6\r\n\r\n123456`],
    ['a length with a sign', `${smuggled}content-length: +5\r\n\r\n12345`],
    ['a length that is none', `${smuggled}content-length: 0x5\r\n\r\n12345`],
    ['chunks that are not last', `${smuggled}transfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n`],
    ['a blank before the colon', `${smuggled}transfer-encoding : chunked\r\n\r\n0\r\n\r\n`],
    ['a folded header', `${smuggled}x-a: b\r\n transfer-encoding: chunked\r\n\r\n`],
    ['a line feed alone', `POST /api/events HTTP/1.1\nhost: x\ncontent-length: 5\n\n12345`],
    [
      'a chunk with a size that is none',
      `${smuggled}transfer-encoding: chunked\r\n\r\n5x\r\n12345\r\n0\r\n\r\n`,
    ],
    ['a chunk longer than it says', `${smuggled}transfer-encoding: chunked\r\n\r\n2\r\n12345\r\n0\r\n\r\n`],
    ['another protocol', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
  ])('%s: 400, and nothing behind it is read', async (_what, text) => {
    const client = await connect()
    client.send(Buffer.from(text, 'latin1'), post(one))
    const { status, body } = await client.answer()
    expect([status, JSON.parse(body).code]).toEqual([400, 'malformed_request'])
    await client.closed()
    expect(client.answers).toHaveLength(1)
    expect(await face.appended()).toEqual([])
  })
})

describe('requests one behind the other, without waiting', () => {
  it('are answered in their order', async () => {
    const client = await connect()
    const bodies = Array.from({ length: 200 }, (_, n) =>
      n % 3 === 2 ? 'nope' : json(attended({}, { id: `e-${n}` })),
    )
    client.send(Buffer.concat(bodies.map((body) => post(body))))
    await client.answer(200)
    expect(client.answers.map(({ status }) => status)).toEqual(
      bodies.map((body) => (body === 'nope' ? 400 : 202)),
    )
    expect(
      client.answers.filter(({ status }) => status === 202).map(({ body }) => JSON.parse(body).id),
    ).toEqual(bodies.filter((body) => body !== 'nope').map((body) => JSON.parse(body).id))
  })

  it('what is broken behind an accepted one is never taken for its answer', async () => {
    const release = face.log.faults.holdAppends()
    const client = await connect()
    client.send(post(one), 'what is this\r\n\r\n')
    await until('it is held', () => face.admission.heldBytes > 0)
    release()
    expect((await client.answer()).status).toBe(202)
    await client.closed()
    expect(client.answers).toHaveLength(1)
  })

  it('what is refused ends the connection with its own answer, behind those before it', async () => {
    const client = await connect()
    client.send(post(one), head({ 'content-length': 100 * MIB }))
    expect((await client.answer(2)).status).toBe(413)
    expect(client.answers.map(({ status }) => status)).toEqual([202, 413])
    await client.closed()
  })
})

describe('too many connections', () => {
  it('are closed as they come, counted, and those that nobody uses make room', async () => {
    const all = Array.from({ length: http.maxConnections }, async () => (await connect()).send(post(one)))
    await Promise.all(all.map(async (client) => (await client).answer()))
    const dropped = await connect()
    await dropped.closed()
    await until('idle ones are let go', async () => (await connections()) === 0)
    await stillServes()
    const text = await (await fetch(`${face.url}/metrics`, { headers: { connection: 'close' } })).text()
    expect(text).toContain('push_backs_total{reason="too_many_connections"} 1')
  })

  it('those that are used stay', async () => {
    const release = face.log.faults.holdAppends()
    const busy: RawClient[] = []
    for (let open = 0; open < http.maxConnections; open++) busy.push((await connect()).send(post(one)))
    await until('all are held', () => face.admission.heldBytes > http.maxConnections * 4_000)
    await (await connect()).closed()
    release()
    for (const client of busy) expect((await client.answer()).status).toBe(202)
  })
})
