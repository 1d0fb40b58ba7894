import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { sendCommand } from '../../../src/commands/send.ts'
import { run } from './command-line.ts'
import { allAccepted, type Received, type Scripted, scriptedServer } from './scripted-server.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'embudo-send-'))
})
afterEach(async () => await rm(folder, { recursive: true }))

const attended = (n: number, more = {}) =>
  JSON.stringify({
    type: 'webinar_attended',
    data: { leadId: `L-${n}`, webinarId: 'W-1', attendanceDuration: 60 },
    ...more,
  })
const file = async (name: string, content: string): Promise<string> => {
  const path = join(folder, name)
  await writeFile(path, content)
  return path
}
const idsIn = (received: readonly Received[]) => received.map(({ lines }) => lines.map(({ id }) => id))
const leadsIn = (received: readonly Received[]) =>
  received.flatMap(({ lines }) => lines.map(({ data }) => (data as { leadId: string }).leadId))

describe('send', () => {
  it('sends a file in order, in batches, and sums up', async () => {
    await using server = await scriptedServer(allAccepted)
    const lines = Array.from({ length: 12_000 }, (_, n) => attended(n))
    const ran = await run(sendCommand, [
      'send',
      await file('a.ndjson', lines.join('\n')),
      '--url',
      server.url,
      '--json',
    ])
    expect(ran.status).toBe(0)
    expect(ran.json()).toMatchObject({ sent: 12_000, accepted: 12_000, rejected: 0, duplicateRisk: 0 })
    expect(server.received.map((request) => request.lines.length)).toEqual([5_000, 5_000, 2_000])
    expect(leadsIn(server.received)).toEqual(lines.map((_, n) => `L-${n}`))
  })

  it('reads standard input and keeps ids and digits as they are', async () => {
    await using server = await scriptedServer(allAccepted)
    const input = `${attended(1, { id: 'mine', source: 'zoom' })}\r\n\r\n{"type":"conversion_completed","data":{"value":49.10,"note":"a\u2028b"}}`
    const ran = await run(sendCommand, ['send', '--url', server.url, '--json'], { input })
    expect(ran.json()).toMatchObject({ accepted: 2 })
    expect(server.received[0]?.lines[0]).toMatchObject({ id: 'mine', source: 'zoom' })
    expect(server.received[0]?.lines[1]).toMatchObject({
      source: 'embudo-send',
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
    })
  })

  it('puts an id and a source where a line has null, and never a second member behind it', async () => {
    const bodies: string[] = []
    const post: typeof fetch = async (_, init) => {
      bodies.push(String(init?.body))
      return Response.json({ accepted: 4, rejected: 0, errors: [] }, { status: 202 })
    }
    const input = [
      '{"id":null,"type":"conversion_completed","data":{"value":49.10}}',
      '{"type":"conversion_completed","source": null,"id":"a","data":{"id":null}}',
      '{"id": null ,"source":null}',
      '{"\\u0069d":null,"source":null}',
    ].join('\n')
    await run(sendCommand, ['send'], { input, fetch: post })
    const lines = (bodies[0] ?? '').split('\n')
    const uuid = '"[0-9a-f-]{36}"'
    expect(lines[0]).toMatch(
      new RegExp(
        `^{"id":${uuid},"type":"conversion_completed","data":{"value":49.10},"source":"embudo-send"}$`,
      ),
    )
    expect(lines[1]).toBe(
      '{"type":"conversion_completed","source": "embudo-send","id":"a","data":{"id":null}}',
    )
    expect(lines[2]).toMatch(new RegExp(`^{"id": ${uuid} ,"source":"embudo-send"}$`))
    expect(lines[3]).toMatch(new RegExp(`^{"\\\\u0069d":${uuid},"source":"embudo-send"}$`))
  })

  it('gives the lines of a file the same ids again, unless told that they are new', async () => {
    await using server = await scriptedServer(allAccepted)
    const path = await file('a.ndjson', [attended(1), attended(1), attended(2)].join('\n'))
    for (const more of [[], ['--from-start'], ['--new-ids']])
      await run(sendCommand, ['send', path, '--url', server.url, ...more])
    const [first, second, third] = idsIn(server.received)
    expect(second).toEqual(first)
    expect(new Set([...first!, ...third!]).size).toBe(6)
  })

  it('sends the same ids again after a lost answer, and says that it did', async () => {
    await using server = await scriptedServer((request, before) =>
      before === 0 ? allAccepted(request) : before === 1 ? 'lost' : allAccepted(request),
    )
    const lines = Array.from({ length: 5_200 }, (_, n) => attended(n))
    const ran = await run(sendCommand, [
      'send',
      await file('a.ndjson', lines.join('\n')),
      '--url',
      server.url,
      '--json',
    ])
    expect(ran.status).toBe(0)
    expect(ran.json()).toMatchObject({ accepted: 5_200, duplicateRisk: 200 })
    const ids = idsIn(server.received)
    expect(ids[2]).toEqual(ids[1])
  })

  it('waits as long as Retry-After says', async () => {
    const busy: Scripted = {
      status: 503,
      body: { code: 'log_busy', detail: 'full' },
      headers: { 'retry-after': '7' },
    }
    await using server = await scriptedServer((request, before) => (before < 2 ? busy : allAccepted(request)))
    const waits: number[] = []
    const wait = async (ms: number) => void waits.push(ms)
    const ran = await run(sendCommand, ['send', '--url', server.url], { input: attended(1), wait })
    expect(ran.status).toBe(0)
    expect(waits).toEqual([7_000, 7_000])
  })

  it('goes on from where the server stopped', async () => {
    await using server = await scriptedServer((request, before) =>
      before === 0
        ? { status: 207, body: { accepted: 2, rejected: 0, errors: [], stoppedAt: 2 } }
        : allAccepted(request),
    )
    const ran = await run(sendCommand, ['send', '--url', server.url, '--json'], {
      input: [1, 2, 3, 4].map((n) => attended(n)).join('\n'),
    })
    expect(ran.json()).toMatchObject({ accepted: 4, duplicateRisk: 2 })
    expect(leadsIn(server.received)).toEqual(['L-1', 'L-2', 'L-3', 'L-4', 'L-3', 'L-4'])
  })

  it('writes what is not accepted into a file, with the reason beside it', async () => {
    const error = {
      index: 1,
      id: null,
      code: 'missing_field',
      field: '/data/leadId',
      detail: 'expected text',
      retriable: false,
    }
    await using server = await scriptedServer(() => ({
      status: 207,
      body: { accepted: 2, rejected: 1, errors: [error] },
    }))
    const path = await file(
      'b.ndjson',
      [attended(1), '', '{"type":"webinar_attended","data":{}}', attended(3)].join('\n'),
    )
    const ran = await run(sendCommand, ['send', path, '--url', server.url])
    expect(ran.status).toBe(1)
    expect(ran.err).toContain('one event was not accepted')
    const rejects = (await readFile(`${path}.rejects.ndjson`, 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(rejects).toMatchObject([
      {
        code: 'missing_field',
        field: '/data/leadId',
        detail: 'expected text',
        file: 'b.ndjson',
        line: 3,
        event: { type: 'webinar_attended', data: {}, source: 'embudo-send', id: expect.any(String) },
      },
    ])
  })

  it('gives up after a while without progress, and says what was accepted', async () => {
    let now = 0
    const wait = async (ms: number) => {
      now += ms
    }
    await using server = await scriptedServer((request, before) =>
      before === 0 ? allAccepted(request) : { status: 503, body: {} },
    )
    const lines = Array.from({ length: 6_000 }, (_, n) => attended(n)).join('\n')
    const ran = await run(sendCommand, ['send', '--give-up-after', '60s', '--url', server.url], {
      input: lines,
      wait,
      now: () => now,
    })
    expect(ran.status).toBe(1)
    expect(ran.err).toMatch(
      /gave up after 1 min 0 s without progress: status 503\. 5,000 events were accepted/,
    )
    expect(now).toBeLessThanOrEqual(60_000)
  })

  it('reads CSV, with numbers where the event has them', async () => {
    await using server = await scriptedServer(allAccepted)
    const csv =
      'leadId,webinar,attendanceDuration,engagementScore,time,remark\nL-1,"W-1, the first",60,0.5,2026-11-01T10:00:00Z,x\nL-2,W-2,90,,,\n'
    const args = [
      'send',
      await file('c.csv', csv),
      '--type',
      'webinar_attended',
      '--map',
      'webinar=webinarId',
      '--map',
      'remark=',
      '--url',
      server.url,
    ]
    const ran = await run(sendCommand, args)
    expect(ran.status).toBe(0)
    expect(server.received[0]?.lines).toMatchObject([
      {
        type: 'webinar_attended',
        time: '2026-11-01T10:00:00.000Z',
        data: { leadId: 'L-1', webinarId: 'W-1, the first', attendanceDuration: 60, engagementScore: 0.5 },
      },
      { type: 'webinar_attended', data: { leadId: 'L-2', webinarId: 'W-2', attendanceDuration: 90 } },
    ])
    expect(server.received[0]?.lines[1]?.data).not.toHaveProperty('engagementScore')
    expect(server.received[0]?.lines[0]?.data).not.toHaveProperty('remark')
  })

  it('tells of --day-first where a refused time would be one that way', async () => {
    await using server = await scriptedServer(({ lines }) => ({
      status: 207,
      body: {
        accepted: 0,
        rejected: lines.length,
        errors: lines.map((_, index) => ({
          index,
          code: 'bad_time',
          field: '/time',
          detail: 'expected a time',
        })),
      },
    }))
    const csv = 'leadId,webinarId,attendanceDuration,time\nL-1,W-1,60,20/11/2026 10:00\nL-2,W-1,60,soon\n'
    const path = await file('c.csv', csv)
    await run(sendCommand, ['send', path, '--type', 'webinar_attended', '--url', server.url])
    const details = (await readFile(`${path}.rejects.ndjson`, 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).detail)
    expect(details).toEqual([expect.stringMatching(/^expected a time; .*--day-first/), 'expected a time'])
  })

  it('says what is wrong before it sends anything', async () => {
    const missing = await run(sendCommand, ['send', join(folder, 'none.ndjson')])
    expect(missing).toMatchObject({
      status: 1,
      err: expect.stringMatching(/none\.ndjson cannot be read: there is no such file/),
    })
    const noType = await run(sendCommand, ['send', await file('c.csv', 'a\n1\n')])
    expect(noType).toMatchObject({ status: 2, err: expect.stringContaining('--type') })
    const closed = await scriptedServer(allAccepted)
    await closed[Symbol.asyncDispose]()
    const nobody = await run(sendCommand, ['send', '--url', closed.url], { input: attended(1) })
    expect(nobody).toMatchObject({
      status: 1,
      out: expect.not.stringContaining('accepted'),
      err: expect.stringContaining('start it with `make up`'),
    })
  })
})
