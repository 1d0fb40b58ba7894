import { request } from 'node:http'
import { stderr } from 'node:process'
import { Readable } from 'node:stream'
import { json } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { createGzip, gzipSync } from 'node:zlib'
import { Kafka, logLevel } from 'kafkajs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { until } from '../../processes.ts'
import { Program } from '../../program.ts'
import { extent } from './extent.ts'
import { funnelEvent, ndjson } from './load.ts'
import { forgetPeak, megabytes, residentBytes } from './memory.ts'
import { expectExactlyOnce } from './oracle.ts'

const bodyBytes = extent({ full: 1_000_000_000, short: 250_000_000 })
const encodings = extent({ full: ['identity', 'gzip'] as const, short: ['identity'] as const })
/**
 * Whatever the length of the body: chunks under way, and the room that V8 takes for what it has not collected, which
 * is more where the processors are busy with other things.
 */
const maxGrowthBytes = extent({ full: 100_000_000, short: 150_000_000 })

const leads = 20_000
const shortBody = 30_000

let program: Program
let http: number
let atStart: number
beforeAll(async () => {
  program = await Program.start()
  http = program.run.pids.http?.[0] ?? 0
  atStart = residentBytes(http).now
})
afterAll(() => program[Symbol.asyncDispose]())

describe('a client', { timeout: 600_000 }, () => {
  it('that pauses in the middle of its body has what it sent in the log meanwhile, and all of it in the end', async () => {
    const before = await logLength()
    const half = shortBody / 2
    const body = async function* () {
      yield linesFrom(0, half)
      // Chunks of 2,000 events go to the log as they are full.
      await until(
        'most of the first half is in the log',
        async () => (await logLength()) - before > half - 4_000,
      )
      yield linesFrom(half, half)
    }
    const { status, said } = await send(body())
    expect([status, said]).toEqual([202, { accepted: shortBody, rejected: 0, errors: [] }])
    expect((await logLength()) - before).toBe(shortBody)
  })

  it('whose body breaks off is told from where on to send again, and what lies before is in the log', async () => {
    const from = shortBody
    const whole = gzipSync(linesFrom(from, shortBody))
    const { status, said, position } = await send([whole.subarray(0, whole.length / 2)], 'gzip')
    const stoppedAt = Number(said.stoppedAt)
    expect([status, said]).toMatchObject([
      207,
      { accepted: stoppedAt, stoppedBy: { code: 'body_malformed' } },
    ])
    expect(stoppedAt).toBeGreaterThan(2_000)
    expect(stoppedAt).toBeLessThan(shortBody)
    await expectInLogTo(position)

    const rest = await send([linesFrom(from + stoppedAt, shortBody - stoppedAt)])
    expect(rest).toMatchObject({ status: 202, said: { accepted: shortBody - stoppedAt } })
    expect(await logLength()).toBe(2 * shortBody)
  })

  it('that goes away and sends everything again has it counted once', async () => {
    const from = 2 * shortBody
    const before = await logLength()
    const goesAway = async function* () {
      yield linesFrom(from, shortBody / 2)
      await until('some of it is in the log', async () => (await logLength()) > before)
      throw new Error('gone')
    }
    await expect(send(goesAway())).rejects.toThrow('gone')
    expect(await send([linesFrom(from, shortBody)])).toMatchObject({
      status: 202,
      said: { accepted: shortBody },
    })

    const log = await expectExactlyOnce(program.run)
    const times = new Map<string, number>()
    for (const { id } of log) times.set(id, (times.get(id) ?? 0) + 1)
    expect(times.size).toBe(3 * shortBody)
    // What was taken of the first attempt is its beginning, without a gap.
    const twice = log.length - times.size
    const beginning = Array.from({ length: twice }, (_, n) => times.get(`load-${from + n}`))
    expect(new Set(beginning)).toEqual(new Set([2]))
  })
})

it.each(encodings)(
  `a body of ${megabytes(bodyBytes)} (%s) is taken as it comes, in little memory`,
  async (encoding) => {
    const before = await logLength()
    forgetPeak(http)
    const begun = performance.now()
    const body = { lines: 0, bytes: 0 }
    const onTheWay: string[] = []
    const pieces = function* () {
      while (body.bytes < bodyBytes) {
        if (body.bytes >= (bodyBytes / 5) * (onTheWay.length + 1))
          onTheWay.push(megabytes(residentBytes(http).now))
        const piece = linesFrom(100_000 + body.lines, piecesOf)
        body.lines += piecesOf
        body.bytes += piece.length
        yield piece
      }
    }
    const { status, said, position } = await send(pieces(), encoding)
    const seconds = (performance.now() - begun) / 1_000
    const { peak } = residentBytes(http)
    stderr.write(
      `${megabytes(body.bytes)} (${encoding}), ${body.lines} lines in ${seconds.toFixed(1)} s; resident ` +
        `${megabytes(atStart)} at the start, ${onTheWay.join(', ')} on the way, at most ${megabytes(peak)}\n`,
    )
    expect([status, said]).toEqual([202, { accepted: body.lines, rejected: 0, errors: [] }])
    expect((await logLength()) - before).toBe(body.lines)
    await expectInLogTo(position)
    expect(peak - atStart).toBeLessThan(maxGrowthBytes)
  },
  600_000,
)

const piecesOf = 500

const linesFrom = (from: number, count: number): Buffer =>
  Buffer.from(ndjson(Array.from({ length: count }, (_, n) => funnelEvent(from + n, leads))))

interface Answer {
  readonly status: number | undefined
  readonly said: Readonly<Record<string, unknown>>
  readonly position: string
}

/** Sent as fast as it is taken, in chunked transfer encoding. */
const send = async (
  body: Iterable<Buffer> | AsyncIterable<Buffer>,
  encoding: 'identity' | 'gzip' = 'identity',
): Promise<Answer> => {
  const headers = { 'content-type': 'application/x-ndjson', 'content-encoding': encoding }
  const sent = request(`${program.run.http}/api/events`, { method: 'POST', headers })
  const answered = new Promise<Answer>((resolve, reject) => {
    sent.once('error', reject)
    sent.once('response', (response) => {
      const position = String(response.headers['embudo-position'])
      json(response).then(
        (said) => resolve({ status: response.statusCode, said: said as Answer['said'], position }),
        reject,
      )
    })
  })
  answered.catch(() => {})
  const isPacked = encoding === 'gzip' && !Array.isArray(body)
  await (isPacked
    ? pipeline(Readable.from(body), createGzip({ level: 1 }), sent)
    : pipeline(Readable.from(body), sent))
  return await answered
}

const topic = 'embudo.leads'

const bounds = async (): Promise<readonly { partition: number; low: string; high: string }[]> => {
  const admin = new Kafka({ brokers: program.run.kafka.split(','), logLevel: logLevel.NOTHING }).admin()
  await admin.connect()
  try {
    return await admin.fetchTopicOffsets(topic)
  } finally {
    await admin.disconnect()
  }
}

const logLength = async (): Promise<number> =>
  (await bounds()).reduce((sum, { low, high }) => sum + Number(high) - Number(low), 0)

/** Nobody else sends: what an answer calls the last place of each partition is its end. */
const expectInLogTo = async (position: string): Promise<void> => {
  const ends = (await bounds()).map(({ partition, high }) => `${topic}:${partition}:${Number(high) - 1}`)
  expect(position.split(', ').toSorted()).toEqual(ends.toSorted())
}
