import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { demoCommand } from '../../../src/commands/demo.ts'
import { sendCommand } from '../../../src/commands/send.ts'
import { run } from '../../unit/commands/command-line.ts'
import { type Appending, UnreliableServer } from './unreliable-server.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'embudo-demo-'))
})
afterEach(async () => await rm(folder, { recursive: true }))

const demo = ['demo', '--leads', '1000', '--seed', '7', '--until', '2026-11-20', '--json']
/** Without the patience that commands have with a request: given up, it goes again, and counts. */
const patientFetch: typeof fetch = (input, init) => fetch(input, { ...init, signal: null })
const ledgerOf = async (
  path: string,
): Promise<{ id: string; source: string; type: string; leadId?: string }[]> =>
  (await readFile(path, 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))

describe('the demo against the real ingestion', () => {
  it('has every event accepted, and says how many of each type', async () => {
    await using server = new UnreliableServer()
    await server.start()
    const ledger = join(folder, 'ledger.ndjson')
    const args = [...demo, '--url', server.url, '--ledger', ledger]
    const ran = await run(demoCommand, args, { fetch: patientFetch })
    expect(ran).toMatchObject({ status: 0, err: '' })
    const { accepted, rejected, duplicateRisk, byType, lastPosition } = ran.json() as Record<string, never>
    expect({ accepted, rejected, duplicateRisk }).toEqual({
      accepted: server.log.length,
      rejected: 0,
      duplicateRisk: 0,
    })
    expect(byType).toMatchObject({ lead_registered: 1_000, enrollment_requested: 20, spend_recorded: 300 })
    expect(lastPosition).toMatch(/leads:0:\d+/)
    expect((await ledgerOf(ledger)).map(({ id }) => id)).toEqual(server.log.map(({ id }) => id))
  })

  it('loses nothing and keeps the order of each lead while the log fails now and then', async () => {
    const troubles: Appending[] = ['appended', 'not appended', 'appended', 'appended and not acknowledged']
    await using server = new UnreliableServer((append) => troubles[append % troubles.length]!)
    await server.start()
    const ledger = join(folder, 'ledger.ndjson')
    const ran = await run(demoCommand, [...demo, '--url', server.url, '--ledger', ledger])
    expect(ran.status).toBe(0)
    expect(ran.json().duplicateRisk).toBeGreaterThan(0)

    const inLog = new Set(server.log.map(({ id }) => id))
    const accepted = (await ledgerOf(ledger)).map(({ id }) => id)
    expect(accepted.filter((id) => !inLog.has(id))).toEqual([])
    expect(new Set(accepted).size).toBe(accepted.length)
    expect(ran.json().accepted).toBe(inLog.size)

    const firstTimes = new Map(server.log.toReversed().map((event) => [event.id, event]))
    const lastTime = new Map<unknown, string>()
    for (const { subject, time } of [...firstTimes.values()].toReversed()) {
      expect(time >= (lastTime.get(subject) ?? '')).toBe(true)
      lastTime.set(subject, time)
    }
  })

  it('survives the death of the server and its restart, and goes on with the same ids', async () => {
    await using server = new UnreliableServer()
    await server.start()
    let retries = 0
    let killed = false
    const dieOnce: typeof fetch = async (...request) => {
      if (server.appends === 3 && !killed) {
        killed = true
        await server.kill()
      }
      return await patientFetch(...request)
    }
    const wait = async () => {
      retries += 1
      if (retries === 3) await server.start()
    }
    const ran = await run(demoCommand, [...demo, '--url', server.url], { fetch: dieOnce, wait })
    expect(ran.status).toBe(0)
    expect(retries).toBe(3)
    expect(ran.json().accepted).toBe(new Set(server.log.map(({ id }) => id)).size)
  })

  it('keeps to a rate', async () => {
    await using server = new UnreliableServer()
    await server.start()
    let now = Date.UTC(2026, 10, 20)
    const begun = now
    const wait = async (ms: number) => {
      now += Math.max(0, ms)
    }
    const ran = await run(
      demoCommand,
      ['demo', '--leads', '20', '--rate', '100', '--url', server.url, '--json'],
      { wait, now: () => now, fetch: patientFetch },
    )
    const { accepted } = ran.json() as { accepted: number }
    expect(now - begun).toBe(accepted * 10)
  })
})

describe('send against the real ingestion', () => {
  it("has good events accepted among bad ones, and keeps the server's reasons", async () => {
    await using server = new UnreliableServer()
    await server.start()
    const rejects = join(folder, 'rejects.ndjson')
    const attended = (data: object) =>
      JSON.stringify({ type: 'webinar_attended', data: { leadId: 'L-1', webinarId: 'W-1', ...data } })
    const input = [
      attended({ attendanceDuration: 60 }),
      attended({ attendanceDuration: 'long' }),
      attended({ attendanceDuration: 90 }),
    ].join('\n')
    const ran = await run(sendCommand, ['send', '--url', server.url, '--rejects', rejects, '--json'], {
      input,
      fetch: patientFetch,
    })
    expect(ran.status).toBe(1)
    expect(ran.json()).toMatchObject({ accepted: 2, rejected: 1, rejects })
    expect(JSON.parse(await readFile(rejects, 'utf8'))).toMatchObject({
      line: 2,
      code: 'wrong_type',
      field: '/data/attendanceDuration',
    })
    expect(server.log.map(({ data }) => data.attendanceDuration)).toEqual([60, 90])
  })
})
