import fs from 'node:fs'
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { sendCommand } from '../../../src/commands/send.ts'
import { RejectsFile } from '../../../src/commands/sending/rejects.ts'
import { run } from './command-line.ts'
import { allAccepted, type Received, type Scripted, scriptedServer } from './scripted-server.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'embudo-send-'))
})
afterEach(async () => await rm(folder, { recursive: true }))

const attended = (n: number, data = {}) =>
  JSON.stringify({
    type: 'webinar_attended',
    data: { leadId: `L-${n}`, webinarId: 'W-1', attendanceDuration: 60, ...data },
  })
const many = (count: number) => Array.from({ length: count }, (_, n) => attended(n)).join('\n')
const file = async (name: string, content: string | Buffer): Promise<string> => {
  const path = join(folder, name)
  await writeFile(path, content)
  return path
}
/** The last answer is waited for as long as it takes, however slow the machine is. */
const runUntil = (stop: AbortController, path: string, url: string) => {
  const patientFetch: typeof fetch = (input, init) => fetch(input, { ...init, signal: null })
  return run(sendCommand, ['send', path, '--url', url], { signal: stop.signal, fetch: patientFetch })
}
const eventsIn = (received: readonly Received[]) => received.flatMap(({ lines }) => lines)
const rejecting = ({ lines }: Received): Scripted => {
  const errors = lines.flatMap(({ data }, index) =>
    typeof (data as { attendanceDuration: unknown }).attendanceDuration === 'number'
      ? []
      : [
          {
            index,
            id: null,
            code: 'wrong_type',
            field: '/data/attendanceDuration',
            detail: 'expected seconds',
          },
        ],
  )
  return { status: 207, body: { accepted: lines.length - errors.length, rejected: errors.length, errors } }
}

describe('send, once more', () => {
  it('goes on where a stop left it, after what was under way had its answer', async () => {
    const stop = new AbortController()
    await using server = await scriptedServer((request, before) => {
      if (before === 1) stop.abort()
      return allAccepted(request)
    })
    const path = await file('a.ndjson', many(12_000))
    const stopped = await runUntil(stop, path, server.url)
    expect(stopped.status).toBe(1)
    expect(stopped.out).toContain('accepted  10,000 events')
    expect(stopped.err).toContain('the same command goes on from there')
    expect(server.received.length).toBe(2)

    const resumed = await run(sendCommand, ['send', path, '--url', server.url])
    expect(resumed).toMatchObject({ status: 0, err: '' })
    expect(resumed.out).toContain(
      'goes on at line 10,001, 10,000 events are through; --from-start begins anew',
    )
    expect(eventsIn(server.received).map(({ data }) => (data as { leadId: string }).leadId)).toEqual(
      Array.from({ length: 12_000 }, (_, n) => `L-${n}`),
    )
  })

  it('says that a file is done, and sends it again only when told to, with the same ids', async () => {
    await using server = await scriptedServer(allAccepted)
    const path = await file('a.ndjson', many(3))
    await run(sendCommand, ['send', path, '--url', server.url])
    const again = await run(sendCommand, ['send', path, '--url', server.url])
    expect(again).toMatchObject({ status: 0, out: expect.stringContaining('--from-start sends it again') })
    expect(server.received.length).toBe(1)
    await run(sendCommand, ['send', path, '--url', server.url, '--from-start'])
    const [first, second] = server.received
    expect(second?.lines).toEqual(first?.lines)
  })

  it('sends what was added to NDJSON, and a file that changed from its beginning', async () => {
    await using server = await scriptedServer(allAccepted)
    const path = await file('a.ndjson', `${many(3)}\n`)
    await run(sendCommand, ['send', path, '--url', server.url])
    await writeFile(path, `${many(5)}\n`)
    const grown = await run(sendCommand, ['send', path, '--url', server.url])
    expect(grown.out).toContain('has grown, goes on at line 4')
    await writeFile(path, `${many(5).replace('L-0', 'L-9')}\n`)
    await run(sendCommand, ['send', path, '--url', server.url])
    expect(server.received.map(({ lines }) => lines.length)).toEqual([3, 2, 5])
  })

  it('forgets where it was once it is read otherwise or sent elsewhere', async () => {
    await using one = await scriptedServer(allAccepted)
    await using other = await scriptedServer(allAccepted)
    const path = await file('a.ndjson', many(3))
    await run(sendCommand, ['send', path, '--url', one.url])
    await run(sendCommand, ['send', path, '--url', one.url, '--source', 'zoom'])
    await run(sendCommand, ['send', path, '--url', other.url])
    expect([one.received.length, other.received.length]).toEqual([2, 1])
  })

  it('takes nothing for sent into a data folder that took the place of the one it was sent into', async () => {
    await using server = await scriptedServer(allAccepted)
    const path = await file('a.ndjson', many(3))
    const environment = { EMBUDO_DATA_DIR: folder, EMBUDO_PORT: new URL(server.url).port }
    const sendInto = async (cluster: string) => {
      await mkdir(join(folder, 'kafka', 'log'), { recursive: true })
      await writeFile(join(folder, 'kafka', 'log', 'meta.properties'), `version=1\ncluster.id=${cluster}\n`)
      await run(sendCommand, ['send', path], { environment })
      return server.received.length
    }
    expect(await sendInto('one')).toBe(1)
    expect(await sendInto('one')).toBe(1)
    expect(await sendInto('two')).toBe(2)
  })

  it('sends nothing where what it knows of a file cannot be read, until it is told to', async () => {
    await using server = await scriptedServer(allAccepted)
    const path = await file('a.ndjson', many(3))
    for (const state of ['', '{"format":"embudo-sending-9"}']) {
      await writeFile(`${path}.sending.json`, state)
      expect(await run(sendCommand, ['send', path, '--url', server.url])).toMatchObject({
        status: 1,
        err: expect.stringMatching(/a\.ndjson\.sending\.json .*cannot be read.*--from-start/),
      })
    }
    expect(server.received.length).toBe(0)
    expect(await run(sendCommand, ['send', path, '--url', server.url, '--from-start'])).toMatchObject({
      status: 0,
    })
    expect(await run(sendCommand, ['send', path, '--url', server.url])).toMatchObject({
      out: expect.stringContaining('Nothing of it is sent now'),
    })
  })

  it('has what it knows of a file on the disk before that takes the place of what it knew', async () => {
    await using server = await scriptedServer(allAccepted)
    const path = await file('a.ndjson', many(1))
    const { fsyncSync, renameSync } = fs
    const calls: string[] = []
    try {
      fs.fsyncSync = (descriptor) => {
        calls.push('sync')
        fsyncSync(descriptor)
      }
      fs.renameSync = (from, to) => {
        calls.push('rename')
        renameSync(from, to)
      }
      syncBuiltinESMExports()
      await run(sendCommand, ['send', path, '--url', server.url])
    } finally {
      Object.assign(fs, { fsyncSync, renameSync })
      syncBuiltinESMExports()
    }
    expect(calls.length).toBeGreaterThan(0)
    expect(calls).toEqual(calls.map((_, index) => (index % 2 === 0 ? 'sync' : 'rename')))
  })

  it('warns once where a file that is sent again holds more than a partition remembers', async () => {
    await using server = await scriptedServer(allAccepted)
    const warnings = ({ err }: { readonly err: string }) => err.match(/counted a second time/g)?.length ?? 0
    const small = await file('small.ndjson', many(100_000))
    const large = await file('large.ndjson', many(100_001))
    const send = async (...args: readonly string[]) =>
      warnings(await run(sendCommand, ['send', ...args, '--url', server.url]))
    expect(await send(small, large)).toBe(0)
    expect(await send(small, '--from-start')).toBe(0)
    expect(await send(large, '--from-start', '--new-ids')).toBe(0)
    // Known from the sending before, and found out on the way.
    expect(await send(large, '--from-start')).toBe(1)
    await rm(`${large}.sending.json`)
    expect(await send(large, '--from-start')).toBe(1)
  }, 180_000)

  it('keeps the ids of rows through new rows in between, and parts rows that are equal', async () => {
    await using server = await scriptedServer(allAccepted)
    const csv = (...rows: readonly string[]) => ['leadId,webinarId,attendanceDuration', ...rows].join('\n')
    const args = ['--type', 'webinar_attended', '--url', server.url]
    await run(sendCommand, [
      'send',
      await file('mon.csv', csv('L-1,W-1,60', 'L-1,W-1,60', 'L-2,W-1,90')),
      ...args,
    ])
    const newer = csv('L-3,W-1,10', 'L-1,W-1,60', 'L-2,W-1,90', 'L-1,W-1,60')
    await run(sendCommand, ['send', await file('tue.csv', newer), ...args])
    const [monday, tuesday] = server.received.map(({ lines }) => lines.map(({ id }) => id))
    expect(new Set(monday).size).toBe(3)
    expect(tuesday?.slice(1)).toEqual([monday?.[0], monday?.[2], monday?.[1]])
  })

  it('takes what standard input says of a time as said once, and anything else as new', async () => {
    await using server = await scriptedServer(allAccepted)
    const timed = '{"type":"conversion_completed","time":"2026-11-20T10:00:00Z","data":{"leadId":"L-1"}}'
    const untimed = '{"type":"conversion_completed","data":{"leadId":"L-1"}}'
    for (let n = 0; n < 2; n++)
      await run(sendCommand, ['send', '--url', server.url], { input: `${timed}\n${untimed}` })
    const [first, second] = server.received.map(({ lines }) => lines.map(({ id }) => id))
    expect(second?.[0]).toBe(first?.[0])
    expect(second?.[1]).not.toBe(first?.[1])
  })
})

describe('rejects', () => {
  it('can be mended and sent as they are', async () => {
    await using server = await scriptedServer(rejecting)
    const csv = 'Lead ID,webinar_id,attendance duration\nL-1,W-1,60\nL-2,W-1,long\n'
    const path = await file('c.csv', csv)
    const ran = await run(sendCommand, ['send', path, '--type', 'webinar_attended', '--url', server.url])
    expect(ran).toMatchObject({
      status: 1,
      err: expect.stringContaining(`npx embudo send ${path}.rejects.ndjson`),
    })
    const rejects = await readFile(`${path}.rejects.ndjson`, 'utf8')
    expect(JSON.parse(rejects)).toMatchObject({
      code: 'wrong_type',
      file: 'c.csv',
      line: 3,
      row: { 'Lead ID': 'L-2', webinar_id: 'W-1', 'attendance duration': 'long' },
      event: { data: { leadId: 'L-2', attendanceDuration: 'long' } },
    })
    await writeFile(
      `${path}.rejects.ndjson`,
      rejects.replace('"attendanceDuration":"long"', '"attendanceDuration":90'),
    )
    const mended = await run(sendCommand, ['send', `${path}.rejects.ndjson`, '--url', server.url, '--json'])
    expect(mended).toMatchObject({ status: 0, err: '' })
    const events = eventsIn(server.received)
    expect(events[2]).toEqual({
      ...events[1],
      data: { leadId: 'L-2', webinarId: 'W-1', attendanceDuration: 90 },
    })
  })

  it('are never written over', async () => {
    await using server = await scriptedServer(rejecting)
    const path = await file('a.ndjson', attended(1, { attendanceDuration: 'long' }))
    const args = ['send', path, '--url', server.url, '--from-start']
    await run(sendCommand, args)
    const kept = await readFile(`${path}.rejects.ndjson`, 'utf8')
    expect((await run(sendCommand, [...args, '--json'])).json()).toMatchObject({
      rejects: `${path}.rejects-2.ndjson`,
    })
    const named = await run(sendCommand, [...args, '--rejects', `${path}.rejects.ndjson`])
    expect(named).toMatchObject({ status: 2, err: expect.stringContaining('is there already') })
    expect(await readFile(`${path}.rejects.ndjson`, 'utf8')).toBe(kept)
  })

  it('of a run before are not counted with those of this one', async () => {
    const stop = new AbortController()
    await using server = await scriptedServer((request, before) => {
      if (before === 0) stop.abort()
      return rejecting(request)
    })
    const bad = attended(0, { attendanceDuration: 'long' })
    const path = await file('a.ndjson', [bad, many(5_002)].join('\n'))
    await runUntil(stop, path, server.url)
    const resumed = await run(sendCommand, ['send', path, '--url', server.url])
    expect(resumed.out).toMatch(/accepted {2}3 events/)
    expect(resumed.out).not.toMatch(/^rejected/m)
    expect(resumed.out).toContain('not counted above, of earlier runs: 4,999 accepted, 1 rejected')
    expect(resumed).toMatchObject({ status: 1, err: expect.stringContaining('one event was not accepted') })
  })

  it('of a file that is done are a failure until they are mended and sent', async () => {
    await using server = await scriptedServer(rejecting)
    const path = await file('a.ndjson', attended(1, { attendanceDuration: 'long' }))
    const rejects = `${path}.rejects.ndjson`
    const send = async (what: string) => await run(sendCommand, ['send', what, '--url', server.url])
    await send(path)
    expect(await send(path)).toMatchObject({
      status: 1,
      out: expect.stringContaining('nothing was sent'),
      err: expect.stringContaining(`one event was not accepted: ${rejects} says why`),
    })
    await writeFile(rejects, (await readFile(rejects, 'utf8')).replace('"long"', '90'))
    expect(await send(rejects)).toMatchObject({ status: 0 })
    expect(await send(path)).toMatchObject({ status: 0, err: '' })
  })

  it('of two runs of one file stand in one file, each once', async () => {
    const stop = new AbortController()
    await using server = await scriptedServer((request, before) => {
      if (before === 0) stop.abort()
      return rejecting(request)
    })
    const bad = (n: number) => attended(n, { attendanceDuration: 'long' })
    const path = await file('a.ndjson', [bad(0), many(5_000), bad(1)].join('\n'))
    await runUntil(stop, path, server.url)
    // What a process wrote that was killed before it could say how far it was.
    const rejects = `${path}.rejects.ndjson`
    await writeFile(rejects, `${await readFile(rejects, 'utf8')}{"code":"half`)
    const resumed = await run(sendCommand, ['send', path, '--url', server.url])
    expect(resumed).toMatchObject({ status: 1, err: expect.stringContaining('2 events were not accepted') })
    const lines = (await readFile(rejects, 'utf8')).trim().split('\n')
    expect(lines.map((line) => JSON.parse(line).event.data.leadId)).toEqual(['L-0', 'L-1'])
  })

  describe('of a run that is taken up', () => {
    const bad = (n: number) => attended(n, { attendanceDuration: 'long' })
    /** Stopped after the first batch with one reject in it, changed, taken up: a second reject. */
    const takenUp = async (change: (rejects: string) => Promise<void>) => {
      const stop = new AbortController()
      await using server = await scriptedServer((request, before) => {
        if (before === 0) stop.abort()
        return rejecting(request)
      })
      const path = await file('a.ndjson', [bad(0), many(5_000), bad(1)].join('\n'))
      await runUntil(stop, path, server.url)
      await change(`${path}.rejects.ndjson`)
      const ran = await run(sendCommand, ['send', path, '--url', server.url])
      return { ran, path }
    }
    const leadsOf = async (path: string) =>
      (await readFile(path, 'utf8'))
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).event.data.leadId)

    it('stay as somebody mended them meanwhile, and the others get a file of their own', async () => {
      let mended = ''
      const { ran, path } = await takenUp(async (rejects) => {
        mended = (await readFile(rejects, 'utf8')).replace('"long"', '90').replace('L-0', 'L-0 of Acme')
        await writeFile(rejects, mended)
      })
      expect(await readFile(`${path}.rejects.ndjson`, 'utf8')).toBe(mended)
      expect(await leadsOf(`${path}.rejects-2.ndjson`)).toEqual(['L-1'])
      expect(ran.err).toContain(`${path}.rejects.ndjson was changed since`)
      expect(ran.err).toContain(`${path}.rejects-2.ndjson says why`)
    })

    it('keep those of other files that stand behind them', async () => {
      let both = ''
      const { path } = await takenUp(async (rejects) => {
        const other = (await readFile(rejects, 'utf8')).replace('"file":"a.ndjson"', '"file":"b.ndjson"')
        both = `${await readFile(rejects, 'utf8')}${other}`
        await writeFile(rejects, both)
      })
      expect(await readFile(`${path}.rejects.ndjson`, 'utf8')).toBe(both)
      expect(await leadsOf(`${path}.rejects-2.ndjson`)).toEqual(['L-1'])
    })
  })

  it('are found where an editor put another file in the place of theirs', async () => {
    const path = join(folder, 'r.ndjson')
    const refused = { code: 'c', field: '', detail: 'd' }
    using rejects = new RejectsFile(path)
    rejects.add('a', { number: 1, text: '{"id":"1"}' }, refused)
    await writeFile(`${path}.edited`, '{"mended":true}\n')
    await rename(`${path}.edited`, path)
    rejects.add('a', { number: 2, text: '{"id":"2"}' }, refused)
    expect(await readFile(path, 'utf8')).toMatch(/^{"mended":true}\n.*"id":"2".*\n$/)
  })

  it('are all found where there are more of them than one answer names', async () => {
    await using server = await scriptedServer((request) => {
      const answer = rejecting(request)
      if (answer === 'lost') return answer
      const body = answer.body as { errors: unknown[] }
      const errorsOmitted = Math.max(0, body.errors.length - 1_000)
      const more = errorsOmitted > 0 ? { errorsOmitted } : {}
      return { ...answer, body: { ...body, errors: body.errors.slice(0, 1_000), ...more } }
    })
    const lines = Array.from({ length: 4_000 }, (_, n) =>
      attended(n, n % 2 === 0 ? {} : { attendanceDuration: 'x' }),
    )
    const path = await file('a.ndjson', lines.join('\n'))
    const ran = await run(sendCommand, ['send', path, '--url', server.url, '--json'])
    expect(ran.json()).toMatchObject({ accepted: 2_000, rejected: 2_000 })
  })
})

describe('files', () => {
  it('are unpacked as they are read, whatever they are called', async () => {
    await using server = await scriptedServer(allAccepted)
    const gz = await file('a.ndjson.gz', gzipSync(many(3)))
    const zst = await file('b.ndjson.zst', zstdCompressSync(Buffer.from(many(3))))
    const csv = await file('c.csv.gz', gzipSync('leadId,webinarId,attendanceDuration\nL-1,W-1,60\n'))
    for (const path of [gz, zst, csv]) {
      const more = path === csv ? ['--type', 'webinar_attended'] : []
      expect(await run(sendCommand, ['send', path, '--url', server.url, ...more])).toMatchObject({
        status: 0,
      })
    }
    expect(server.received.map(({ lines }) => lines.length)).toEqual([3, 3, 1])
  })

  it('that are broken off or no CSV are said to be', async () => {
    await using server = await scriptedServer(allAccepted)
    const cut = await file('a.ndjson.gz', gzipSync(many(1_000)).subarray(0, 200))
    const latin = await file('b.csv', Buffer.from('Email,Überschrift\n', 'latin1'))
    const array = await file('c.json', `[${attended(1)}]`)
    const said = async (path: string) => (await run(sendCommand, ['send', path, '--url', server.url])).err
    expect(await said(cut)).toContain('cannot be unpacked')
    expect(await said(latin)).toContain('CSV UTF-8')
    expect(await said(array)).toContain("jq -c '.[]'")
  })

  it('with columns that nobody knows are refused with the names that were probably meant', async () => {
    const said = async (csv: string, ...more: readonly string[]) => {
      const path = await file('c.csv', csv)
      const { status, err } = await run(sendCommand, ['send', path, '--url', 'http://127.0.0.1:1', ...more])
      expect(status).toBe(2)
      return err
    }
    const type = ['--type', 'webinar_attended']
    expect(await said('a,b\n1,2\n')).toMatch(/none of the exports that are known.*a, b.*--type/s)
    expect(await said('a,b\n1,2\n', '--type', 'webinar_atended')).toContain('did you mean webinar_attended?')
    expect(await said('leadId,webnarId,attendanceDuration\n', ...type)).toContain(
      '--map "webnarId=webinarId"',
    )
    expect(await said('leadId,attendanceDuration\n', ...type)).toContain('--set webinarId=<value>')
    expect(await said('leadId,webinarId,attendanceDuration\n', ...type, '--map', 'lead=leadId')).toContain(
      'the columns are: leadId',
    )
    expect(await said('leadId,webinarId,attendanceDuration\n', ...type, '--set', 'company=x')).toContain(
      'fields are leadId',
    )
  })

  it('with mail addresses for ids get ids that do not tell them', async () => {
    await using server = await scriptedServer(allAccepted)
    const path = await file('c.csv', 'E-Mail;webinarId;Dauer;Punkte\nada@example.com;W-1;1.200;0,5\n')
    const maps = ['E-Mail=leadId', 'Dauer=attendanceDuration', 'Punkte=engagementScore']
    const args = maps.flatMap((map) => ['--map', map])
    args.push('--decimal', ',', '--url', server.url)
    await run(sendCommand, ['send', path, '--type', 'webinar_attended', ...args])
    expect(eventsIn(server.received)[0]?.data).toEqual({
      leadId: expect.stringMatching(/^lead-[0-9a-f]{32}$/),
      webinarId: 'W-1',
      attendanceDuration: 1_200,
      engagementScore: 0.5,
    })
  })
})

describe('a server that is away', () => {
  it('is waited for, which is said once in a while, and when it is back', async () => {
    let now = 0
    const wait = async (ms: number) => {
      now += ms
    }
    await using server = await scriptedServer((request, before) =>
      before < 20 ? { status: 503, body: { detail: 'full' } } : allAccepted(request),
    )
    const ran = await run(sendCommand, ['send', '--url', server.url], {
      input: attended(1),
      wait,
      now: () => now,
    })
    expect(ran.status).toBe(0)
    const said = ran.err.trim().split('\n')
    expect(said[0]).toMatch(/nothing gets through for \d.* \(full\); waiting up to 10 min/)
    expect(said.at(-1)).toMatch(/it answers again after/)
    expect(said.length).toBeLessThanOrEqual(4)
  })
})
