import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { sendCommand } from '../../../src/commands/send.ts'
import { run } from './command-line.ts'
import { allAccepted, type Scripted, scriptedServer } from './scripted-server.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'embudo-send-'))
})
afterEach(async () => await rm(folder, { recursive: true }))

const attended = (n: number, note = '') =>
  JSON.stringify({ type: 'webinar_attended', id: `${n}`, source: 's', data: { leadId: `L-${n}`, note } })
const file = async (name: string, content: string): Promise<string> => {
  const path = join(folder, name)
  await writeFile(path, content)
  return path
}
const rejectsOf = async (path: string) =>
  (await readFile(path, 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))

describe('a proxy that takes no large request', () => {
  /** Answers as nginx does: no JSON. */
  const proxied = async (maxBytes: number, lines: readonly string[]) => {
    const sent: { readonly bytes: number; readonly ids: readonly string[] }[] = []
    const path = await file('a.ndjson', lines.join('\n'))
    const ran = await run(sendCommand, ['send', path, '--url', 'http://embudo.test', '--json'], {
      fetch: async (_, init) => {
        const body = String(init?.body)
        const ids = body.split('\n').map((line) => String(JSON.parse(line).id))
        sent.push({ bytes: body.length, ids })
        if (body.length > maxBytes) return new Response('<html>', { status: 413 })
        return Response.json({ accepted: ids.length, rejected: 0, errors: [] }, { status: 202 })
      },
    })
    const taken = sent.filter(({ bytes }) => bytes <= maxBytes)
    return { ran, path, sent, taken: taken.flatMap(({ ids }) => ids) }
  }

  it('gets all events in their order, in requests that it takes, and is not tried with larger ones again', async () => {
    const lines = Array.from({ length: 15_000 }, (_, n) => attended(n))
    const { ran, sent, taken } = await proxied(100_000, lines)
    expect(ran).toMatchObject({ status: 0, err: '' })
    expect(ran.json()).toMatchObject({ accepted: 15_000, duplicateRisk: 0 })
    expect(taken).toEqual(lines.map((_, n) => `${n}`))
    // 448 kB, 224 kB, 112 kB.
    expect(sent.filter(({ bytes }) => bytes > 100_000)).toHaveLength(3)
  })

  it('leaves an event that is too large by itself among the rejects', async () => {
    const lines = [1, 2, 3, 4, 5].map((n) => attended(n, n === 4 ? 'x'.repeat(2_000) : ''))
    const { ran, path, taken } = await proxied(1_000, lines)
    expect(ran.status).toBe(1)
    expect(taken).toEqual(['1', '2', '3', '5'])
    expect(await rejectsOf(`${path}.rejects.ndjson`)).toMatchObject([
      { code: 'body_too_large', line: 4, event: { id: '4' } },
    ])
  })
})

describe('rejects that are sent again', () => {
  it('stay rejects where nothing of them was kept, and the others are sent', async () => {
    await using server = await scriptedServer(allAccepted)
    const reason = '"field":"","detail":"too long","file":"a.ndjson"'
    const path = await file(
      'a.rejects.ndjson',
      [
        `{"code":"line_too_large",${reason},"line":2,"text":""}`,
        `{"code":"wrong_type",${reason},"line":3,"event":${attended(3)}}`,
      ].join('\n'),
    )
    const ran = await run(sendCommand, ['send', path, '--url', server.url])
    expect(ran.out).toContain('accepted  1 event')
    expect(ran).toMatchObject({ status: 1, err: expect.stringContaining('one event was not accepted') })
    expect(server.received.map(({ lines }) => lines.map(({ id }) => id))).toEqual([['3']])
    expect(await rejectsOf(`${path}.rejects.ndjson`)).toMatchObject([
      { code: 'line_too_large', detail: 'too long', line: 1, text: '' },
    ])
  })

  it('are refused again unless they are mended: nothing that they say is dropped on the way', async () => {
    const bodies: string[] = []
    const post: typeof fetch = async (_, init) => {
      bodies.push(String(init?.body))
      const errors = [{ index: 0, code: 'duplicate_key', field: '', detail: 'twice' }]
      return Response.json({ accepted: 0, rejected: 1, errors }, { status: 207 })
    }
    const event = '{"id":"1","source":"s","type":"conversion_completed","data":{"value":1e999,"a":1,"a":2}}'
    const path = await file('a.ndjson', event)
    await run(sendCommand, ['send', path], { fetch: post })
    await run(sendCommand, ['send', `${path}.rejects.ndjson`], { fetch: post })
    expect(bodies).toEqual([event, event])
  })
})

it.each(['', '\n', ' \r\n\n'])(
  'standard input with nothing in it (%j) is no event, and no failure',
  async (input) => {
    await using server = await scriptedServer(allAccepted)
    const ran = await run(sendCommand, ['send', '--url', server.url], { input })
    expect(ran).toMatchObject({ status: 0, err: '', out: expect.stringContaining('accepted  0 events') })
    expect(server.received).toEqual([])
  },
)

it('standard input whose first line is blank is known by the next one', async () => {
  await using server = await scriptedServer(allAccepted)
  async function* pieces() {
    yield Buffer.from('\n')
    yield Buffer.from(attended(1))
  }
  const stdin = pieces() as unknown as NodeJS.ReadableStream
  expect(await run(sendCommand, ['send', '--url', server.url], { stdin })).toMatchObject({ status: 0 })
  expect(server.received).toHaveLength(1)
})

it('a Retry-After that is a date is told by the clock of the server, and 0 is no haste', async () => {
  const busy = (retryAfter: string): Scripted => ({
    status: 503,
    body: {},
    headers: { 'retry-after': retryAfter, date: 'Fri, 20 Nov 2026 10:00:00 GMT' },
  })
  await using server = await scriptedServer((request, before) =>
    before === 0 ? busy('Fri, 20 Nov 2026 10:00:07 GMT') : before === 1 ? busy('0') : allAccepted(request),
  )
  const waits: number[] = []
  const wait = async (ms: number) => void waits.push(ms)
  await run(sendCommand, ['send', '--url', server.url], { input: attended(1), wait })
  expect(waits).toEqual([7_000, expect.toSatisfy((ms: number) => ms >= 100)])
})
