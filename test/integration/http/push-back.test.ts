import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { until } from '../../processes.ts'
import { attended, startFace } from './http-face.ts'
import { chunk, head, post, RawClient } from './raw-client.ts'

const json = JSON.stringify
const one = json(attended())
const KIB = 1024
const lines = (count: number) => `${one}\n`.repeat(count)
const streamed = { 'content-type': 'application/x-ndjson', 'transfer-encoding': 'chunked' }

type Face = Awaited<ReturnType<typeof startFace>>
const nothingHeld = (face: Face) =>
  until('nothing is held', async () => face.admission.heldBytes === 0 && face.admission.callers === 0)
const figure = async (face: Face, series: string): Promise<number> => {
  const text = await (await fetch(`${face.url}/metrics`)).text()
  const line = text.split('\n').find((one) => one.startsWith(`${series} `))
  return Number(line?.slice(series.length) ?? 0)
}
const pushedBack = (face: Face, reason: string) =>
  figure(face, `embudo_ingest_push_backs_total{reason="${reason}"}`)
const refusedEvents = 'embudo_ingest_events_refused_total{code="missing_field"}'
const refusedRequests = 'embudo_ingest_request_seconds_count{status="4xx"}'

describe('one caller that is too fast', () => {
  it('gets 429 with Retry-After, others do not, and all is taken once there is room', async () => {
    await using face = await startFace({ limits: { maxInFlightBytes: 64 * KIB } })
    const release = face.log.faults.holdAppends()
    using fast = await RawClient.connect(face.port)
    using other = await RawClient.connect(face.port, '127.0.0.2')
    const clients = await Promise.all(Array.from({ length: 10 }, () => RawClient.connect(face.port)))
    for (const client of clients) client.send(post(one))
    await until('some are refused', async () => clients.some(({ answers }) => answers.length > 0))
    await until('all are there', async () => face.admission.heldBytes > 24 * KIB)

    const refused = await fast.send(post(one)).answer()
    other.send(post(one))
    const held = face.admission.heldBytes
    await until('the other is admitted', async () => face.admission.heldBytes > held)

    expect(refused.status).toBe(429)
    expect(Number(refused.headers['retry-after'])).toBeGreaterThanOrEqual(1)
    expect(JSON.parse(refused.body)).toMatchObject({
      code: 'too_many_requests',
      retriable: true,
      status: 429,
    })
    // A small body was read and thrown away: the connection stays.
    expect(refused.headers.connection).not.toBe('close')
    release()
    expect((await other.answer()).status).toBe(202)
    expect((await fast.send(post(one)).answer(2)).status).toBe(202)
    const statuses = await Promise.all(clients.map(async (client) => (await client.answer()).status))
    expect(new Set(statuses)).toEqual(new Set([202, 429]))
    expect(await pushedBack(face, 'too_many_requests')).toBe(
      1 + statuses.filter((status) => status === 429).length,
    )
    for (const client of clients) client[Symbol.dispose]()
    await nothingHeld(face)
  })

  it('hears it before it sends a large body', async () => {
    await using face = await startFace({ limits: { maxInFlightBytes: 64 * KIB } })
    const release = face.log.faults.holdAppends()
    using first = await RawClient.connect(face.port)
    first.send(head({ 'content-length': 20 * KIB }))
    await until('it is admitted', async () => face.admission.heldBytes > 20 * KIB)
    using second = await RawClient.connect(face.port)
    const refused = await second.send(head({ 'content-length': 20 * KIB, expect: '100-continue' })).answer()
    expect(refused.status).toBe(429)
    await second.closed()
    first[Symbol.dispose]()
    await nothingHeld(face)
    release()
  })

  it('also where it writes leads', async () => {
    await using face = await startFace({ limits: { maxInFlightBytes: 64 * KIB } })
    using first = await RawClient.connect(face.port)
    first.send(head({ 'content-length': 28 * KIB }))
    await until('it is admitted', async () => face.admission.heldBytes > 28 * KIB)
    const response = await face.post(json({ company: 'x'.repeat(6 * KIB) }), {}, '/api/leads')
    expect(response.status).toBe(429)
    expect(response.headers.get('retry-after')).toBe('1')
    first[Symbol.dispose]()
    await nothingHeld(face)
    expect(
      (await face.post(json({ email: 'ada@example.com', company: 'Acme' }), {}, '/api/leads')).status,
    ).toBe(202)
    await nothingHeld(face)
  })
})

it('when all together are too much: 503 with Retry-After for one that is within its share', async () => {
  await using face = await startFace({ limits: { maxInFlightBytes: 64 * KIB } })
  const holders: RawClient[] = []
  for (const [at, bytes] of [26, 10, 4].entries()) {
    const holder = await RawClient.connect(face.port, `127.0.0.${at + 2}`)
    holders.push(holder.send(head({ 'content-length': bytes * KIB })))
    await until('it is admitted', async () => face.admission.callers === at + 1)
  }
  using late = await RawClient.connect(face.port, '127.0.0.9')
  const refused = await late.send(post(' '.repeat(6 * KIB))).answer()
  expect(refused.status).toBe(503)
  expect(refused.headers['retry-after']).toBe('1')
  expect(JSON.parse(refused.body)).toMatchObject({ code: 'server_busy', retriable: true })
  expect(await pushedBack(face, 'server_busy')).toBe(1)
  for (const holder of holders) holder[Symbol.dispose]()
  await nothingHeld(face)
})

describe('what a body holds', () => {
  it('is what it unfolds to, while it unfolds', async () => {
    await using face = await startFace({ limits: { maxInFlightBytes: 2048 * KIB } })
    const bomb = gzipSync(' '.repeat(1500 * KIB))
    expect(bomb.length).toBeLessThan(4 * KIB)
    const response = await face.post(bomb, { 'content-encoding': 'gzip' })
    expect(response.status).toBe(413)
    using holder = await RawClient.connect(face.port)
    holder.send(head({ 'content-length': 600 * KIB }))
    await until('it is admitted', async () => face.admission.heldBytes > 600 * KIB)
    expect((await face.post(gzipSync(' '.repeat(900 * KIB)), { 'content-encoding': 'gzip' })).status).toBe(
      429,
    )
    holder[Symbol.dispose]()
    await nothingHeld(face)
  })

  it('grows with a body of unknown length', async () => {
    await using face = await startFace({ limits: { maxInFlightBytes: 64 * KIB } })
    using client = await RawClient.connect(face.port)
    client.send(head({ 'transfer-encoding': 'chunked' }), chunk(' '.repeat(16 * KIB)))
    await until('it is counted', async () => face.admission.heldBytes >= 16 * KIB)
    client.send(chunk(' '.repeat(16 * KIB)))
    expect((await client.answer()).status).toBe(413)
    await client.closed()
    await nothingHeld(face)
  })

  it('is held until its events are acknowledged', async () => {
    await using face = await startFace()
    const release = face.log.faults.holdAppends()
    const answer = face.post(one)
    await until('it is held', async () => face.admission.heldBytes > one.length)
    release()
    expect((await answer).status).toBe(202)
    expect(face.admission.heldBytes).toBe(0)
  })

  it('of an answer that nobody reads stays counted, and goes with the connection', async () => {
    await using face = await startFace()
    using client = await RawClient.connect(face.port)
    client.socket.pause()
    // Together more than the machine's own buffers take.
    const bad = `[${'{},'.repeat(9_999)}{}]`
    client.send(...Array.from({ length: 15 }, () => post(bad)))
    await until('none is being worked on, and one is held', async () => {
      const refused = await figure(face, refusedEvents)
      const pushedAway = await pushedBack(face, 'too_many_requests')
      const answered = (await figure(face, refusedRequests)) - pushedAway
      return answered > 0 && refused === answered * 10_000 && face.admission.heldBytes >= 10_000 * 256
    })
    client[Symbol.dispose]()
    await nothingHeld(face)
  })
})

describe('a stream', () => {
  it('is read no further than there is room, goes on when there is, and holds up nobody else', async () => {
    const bound = 1024 * KIB
    await using face = await startFace({
      limits: { maxInFlightBytes: bound, chunkEvents: 100, maxBusyMs: 60_000 },
    })
    const release = face.log.faults.holdAppends()
    using stream = await RawClient.connect(face.port)
    const events = 200_000
    stream.send(head(streamed), chunk(lines(events)), '0\r\n\r\n')
    await until('it waits', async () => face.admission.heldBytes > 0 && stream.socket.writableLength > 0)
    using other = await RawClient.connect(face.port, '127.0.0.2')
    const before = face.admission.callers
    other.send(post(one))
    await until('another is admitted', async () => face.admission.callers > before)
    // Its share, and the piece that was read before it could know.
    expect(face.admission.heldBytes).toBeLessThan(bound / 2 + 256 * KIB)
    expect(stream.socket.writableLength).toBeGreaterThan(10_000 * KIB)
    release()
    expect((await other.answer()).status).toBe(202)
    await until('it is answered', async () => stream.answers.length > 0)
    expect((await stream.answer()).status).toBe(202)
    expect(JSON.parse((await stream.answer()).body)).toMatchObject({ accepted: events, rejected: 0 })
    await nothingHeld(face)
  })

  it('waits for its share without a 429, and stops with an answer when it waits too long', async () => {
    await using face = await startFace({
      limits: { maxInFlightBytes: 512 * KIB, chunkEvents: 10, maxBusyMs: 200 },
    })
    using holder = await RawClient.connect(face.port)
    holder.send(head({ 'content-length': 100 * KIB }))
    using stream = await RawClient.connect(face.port)
    stream.send(head(streamed), chunk(lines(25)))
    await until('25 are there', async () => face.admission.heldBytes > 170 * KIB)
    // What it holds back itself is not enough: a line that does not end.
    for (let piece = 0; piece < 5; piece++) stream.send(chunk('x'.repeat(50 * KIB)))
    const { status, headers, body } = await stream.answer()
    expect(status).toBe(207)
    expect(headers.connection).toBe('close')
    expect(JSON.parse(body)).toMatchObject({
      accepted: 25,
      stoppedAt: 25,
      stoppedBy: { code: 'server_busy', retriable: true },
    })
    expect(await pushedBack(face, 'server_busy')).toBe(1)
    holder[Symbol.dispose]()
    stream[Symbol.dispose]()
    await nothingHeld(face)
  })

  it('is not begun where its caller is over its share', async () => {
    await using face = await startFace({ limits: { maxInFlightBytes: 256 * KIB } })
    using holder = await RawClient.connect(face.port)
    holder.send(head({ 'content-length': 100 * KIB }))
    await until('it is admitted', async () => face.admission.heldBytes > 100 * KIB)
    using stream = await RawClient.connect(face.port)
    expect((await stream.send(head(streamed)).answer()).status).toBe(429)
  })
})
