import { env } from 'node:process'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, inject, it, vi } from 'vitest'
import { defaultIngestLimits } from '../../src/ingest/ingest.ts'
import { type RealFace, startRealFace } from '../conformance/real-face.ts'
import { extent } from '../faults/whole-program/extent.ts'
import type { LogRecord } from '../faults/whole-program/log-reader.ts'
import { expectKept } from './ingest-log/kept.ts'
import { LogTail } from './ingest-log/log-tail.ts'
import { type Sent, sentRequest } from './ingest-log/request.ts'
import { type Event, goodItem, schemas } from './ingest-log/sent.ts'
import { closeConnections, cutAt, pipeline, post, type Received } from './ingest-log/transfer.ts'

// What has come by then is taken before the rest of a body shows that it was changed: a slow machine must not tell.
vi.mock(import('../../src/ingest/ingest.ts'), async (importOriginal) => {
  const original = await importOriginal()
  return { ...original, defaultIngestLimits: { ...original.defaultIngestLimits, idleMs: 600_000 } }
})

/** Seconds of generated requests; how many fit in depends on the machine. */
const seconds = extent({ full: 600, short: 25 })
/** The long form looks for what is new; a push tries what it tried before. */
const { EMBUDO_TEST_SEED: seed = extent({ full: String(Date.now() % 1_000_000), short: '20261120' }) } = env
const holds = async <T>(share: number, arbitrary: fc.Arbitrary<T>, check: (value: T) => Promise<void>) => {
  // When the time is over a run is still under way, and would take its records from the next test.
  let underWay = Promise.resolve()
  const property = fc.asyncProperty(arbitrary, (value) => {
    underWay = check(value)
    return underWay
  })
  await fc.assert(property, {
    seed: Number(seed),
    numRuns: Number.MAX_SAFE_INTEGER,
    interruptAfterTimeLimit: share * seconds * 1_000,
    markInterruptAsFailure: false,
  })
  await underWay
}

let face: RealFace
let tail: LogTail
beforeAll(async () => {
  face = await startRealFace(inject('parts'))
  tail = await LogTail.of(inject('parts'), face.prefix)
})
afterAll(async () => {
  closeConnections()
  await tail?.[Symbol.asyncDispose]()
  await face?.[Symbol.asyncDispose]()
})

describe('whatever is sent to the real log', () => {
  it(
    'is answered, and what was accepted is read back by another program as it was sent',
    async () => {
      const request = fc.tuple(sentRequest, transfer)
      await holds(0.75, request, async ([sent, { places, isChunked, isByByte }]) => {
        const cuts = isByByte && sent.body.length < 2_000 ? [...sent.body.keys()] : places
        const answer = await post(face.url, sent.headers, cutAt(sent.body, cuts), isChunked)
        const records = await tail.upTo(positionOf(answer))
        expectAnswered(sent, answer)
        expectAllKept(sent, answer, records)
      })
    },
    (seconds + 300) * 1_000,
  )

  it(
    'is answered in order where requests come one behind the other',
    async () => {
      const port = Number(new URL(face.url).port)
      const requests = fc.tuple(
        fc.array(piped, { minLength: 2, maxLength: 6 }),
        fc.array(fc.nat(), { maxLength: 6 }),
      )
      await holds(0.25, requests, async ([sent, places]) => {
        const bytes = Buffer.concat(sent.map((one) => one.bytes))
        const answers = await pipeline(port, cutAt(bytes, places), sent.length)
        expect(answers.map(({ status }) => status)).toEqual(sent.map(({ status }) => status))
        const records = await tail.upTo(answers.map(positionOf).filter(Boolean).join(', '))
        for (const [n, { event }] of sent.entries()) {
          if (event !== undefined) expectKept(event, taken(records, event), String(answers[n]?.body.id))
        }
        expect(records).toEqual([])
      })
    },
    (seconds + 300) * 1_000,
  )

  it.each([
    ['gzip', gzipSync(Buffer.alloc(200_000_000, ' '))],
    ['zstd', zstdCompressSync(Buffer.alloc(200_000_000, ' '))],
  ])('is refused where it blows up: %s', async (encoding, body) => {
    const said = { 'content-encoding': encoding }
    const json = await post(face.url, { 'content-type': 'application/json', ...said }, [body], false)
    expect([json.status, json.body.code]).toEqual([413, 'body_too_large'])
    const lines = await post(face.url, { 'content-type': 'application/x-ndjson', ...said }, [body], false)
    expect(lines).toMatchObject({ status: 422, body: { errors: [{ code: 'line_too_large' }] } })
  })

  it('is not taken for something else where it was changed on its way', async () => {
    const event = { type: 'content_announced', data: { contentId: 'C-1', channel: 'x'.repeat(1_000) } }
    // Uncompressed, and more than is unpacked at a time: its checksum comes long after the letter.
    const body = gzipSync(`${JSON.stringify(event)}\n`.repeat(300), { level: 0 })
    body.write('C-7', body.indexOf('C-1'))
    const headers = { 'content-type': 'application/x-ndjson', 'content-encoding': 'gzip' }
    const answer = await post(face.url, headers, [body], false)
    expect(answer).toMatchObject({ status: 400, body: { code: 'body_malformed', accepted: 0, stoppedAt: 0 } })
  })

  it('is all that is in the log, and stops no projection', async () => {
    expect(await tail.upTo(undefined)).toEqual([])
    await vi.waitFor(
      async () => {
        const { items } = (await (await fetch(`${face.url}/api/projections`)).json()) as ProjectionPage
        expect(items.map(({ name, state, lag }) => ({ name, state, lag }))).toEqual(
          items.map(({ name }) => ({ name, state: 'live', lag: 0 })),
        )
        expect(items.flatMap(({ positions }) => positions.flatMap(({ error }) => error ?? []))).toEqual([])
      },
      { timeout: 200_000, interval: 200 },
    )
  })
})

interface ProjectionPage {
  readonly items: {
    readonly name: string
    readonly state: string
    readonly lag: number
    readonly positions: { readonly error: string | null }[]
  }[]
}

const transfer = fc.record({
  places: fc.array(fc.nat(), { maxLength: 5 }),
  isChunked: fc.boolean(),
  isByByte: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
})

/** Every answer is one of the documented kinds, and says which events it is about. */
const expectAnswered = ({ what, items, damage }: Sent, { status, headers, body }: Received): void => {
  expect([202, 207, 400, 413, 422], JSON.stringify(body)).toContain(status)
  if (status !== 202 && status !== 207) {
    expect(headers['content-type']).toBe('application/problem+json')
    expect(body).toMatchObject({
      status,
      code: expect.stringMatching(/^[a-z_]+$/),
      detail: expect.any(String),
    })
  }
  if (damage === 'cut off' && what !== 'lines') expect(body.code).toMatch(/^(body_malformed|malformed_json)$/)
  if (damage !== 'none') return
  const fates = items.map(({ fate }) => fate)
  if (what === 'one') {
    if (fates[0] !== 'either') expect(status, JSON.stringify(body)).toBe(fates[0] === 'accepted' ? 202 : 422)
    return
  }
  expect(body.stoppedAt).toBeUndefined()
  const refused = refusedIn(body)
  expect(Number(body.accepted) + Number(body.rejected)).toBe(items.length)
  expect(body.rejected).toBe(refused.size)
  expect(status).toBe(refused.size === 0 ? 202 : refused.size < items.length ? 207 : 422)
  for (const [index, fate] of fates.entries()) {
    if (fate !== 'either')
      expect(refused.has(index), `${index}: ${JSON.stringify(body)}`).toBe(fate === 'refused')
  }
}

/** What was accepted is in the log, in the order sent; nothing else is. */
const expectAllKept = (sent: Sent, { status, body }: Received, records: LogRecord[]): void => {
  // The checksum of a compressed body stands at its end: of one that was changed on its way and is longer than a
  // chunk, the first chunks are in the log by then, with what the change has made of them.
  if (sent.damage === 'changed' && sent.items.length > chunkEvents) return
  const isOne = sent.what === 'one'
  const refused = refusedIn(body)
  const known = Number(
    body.stoppedAt ?? (status === 202 || status === 207 || refused.size > 0 ? Infinity : 0),
  )
  const before = isOne
    ? status === 202
      ? sent.items
      : []
    : sent.items.filter((_, index) => index < known && !refused.has(index))
  if (!isOne && sent.damage === 'none' && status !== 400) expect(body.accepted).toBe(before.length)
  for (const { event } of before) {
    expectKept(event as Event, taken(records, event as Event), isOne ? String(body.id) : undefined)
  }
  // Behind the place where a body broke off an event may have been appended too: then as it was sent.
  const behind = sent.items.filter((_, index) => index >= known).map(({ event }) => event as Event)
  for (const event of behind) {
    if (records.some((record) => isOf(record, event))) expectKept(event, taken(records, event))
  }
  expect(records).toEqual([])
}

const { chunkEvents } = defaultIngestLimits

const refusedIn = (body: Received['body']): Set<number> =>
  new Set(((body.errors ?? []) as { index: number }[]).map(({ index }) => index))

const positionOf = ({ headers }: Received): string | undefined =>
  headers['embudo-position'] as string | undefined

/** The first record of an event's subject and type, taken out. */
const taken = (records: LogRecord[], event: Event): LogRecord => {
  const at = records.findIndex((record) => isOf(record, event))
  const [record] = at === -1 ? [] : records.splice(at, 1)
  if (record === undefined) throw new Error(`not in the log: ${JSON.stringify(event)}`)
  return record
}

const isOf = ({ key, type }: LogRecord, event: Event | undefined): boolean =>
  type === event?.type && key === event.data?.[schemas.get(type)?.key ?? '']

interface Piped {
  readonly bytes: Buffer
  readonly status: number
  readonly event?: Event
}

const head = (first: string, ...headers: string[]): string =>
  [`${first} HTTP/1.1`, 'host: embudo', ...headers, '', ''].join('\r\n')

const posted = (body: string, isChunked: boolean): Buffer => {
  const bytes = Buffer.from(body)
  const type = 'content-type: application/json'
  if (!isChunked) return Buffer.from(head('POST /api/events', type, `content-length: ${bytes.length}`) + body)
  const half = Math.floor(bytes.length / 2)
  const chunks = [bytes.subarray(0, half), bytes.subarray(half)].filter((chunk) => chunk.length > 0)
  return Buffer.concat([
    Buffer.from(head('POST /api/events', type, 'transfer-encoding: chunked')),
    ...chunks.flatMap((chunk) => [
      Buffer.from(`${chunk.length.toString(16)}\r\n`),
      chunk,
      Buffer.from('\r\n'),
    ]),
    Buffer.from('0\r\n\r\n'),
  ])
}

const piped: fc.Arbitrary<Piped> = fc.oneof(
  fc.tuple(goodItem, fc.boolean()).map(([{ text, event }, isChunked]) => ({
    ...{ bytes: posted(text, isChunked), status: 202, event: event as Event },
  })),
  fc.constantFrom(
    { bytes: posted('{"type":', true), status: 400 },
    { bytes: posted('{"type":"nothing"}', false), status: 422 },
    { bytes: Buffer.from(head('GET /livez')), status: 200 },
    { bytes: Buffer.from(head('GET /nothing')), status: 404 },
    { bytes: Buffer.from(`${head('PATCH /api/events', 'content-length: 2')}{}`), status: 405 },
    {
      bytes: Buffer.from(`${head('POST /api/events', 'content-type: text/plain', 'content-length: 3')}a=b`),
      status: 415,
    },
  ),
)
