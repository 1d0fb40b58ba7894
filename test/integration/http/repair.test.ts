import { Writable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { projectionsCommand } from '../../../src/commands/projections.ts'
import { EmbudoError } from '../../../src/define/error.ts'
import type { RepairOperations } from '../../../src/http/repair-routes.ts'
import { eventually } from '../../processes.ts'
import { run } from '../../unit/commands/command-line.ts'
import { startFace } from './http-face.ts'

const path = '/api/projections/lead_profile/repair'
const repaired = { name: 'lead_profile', subjects: 1, changed: 1, failed: [] }
const idleTimeoutMs = 500

type Repair = RepairOperations['repair']

const faceWith = (repair: Repair) => startFace({ repair })

const subjects = JSON.stringify({ subjects: ['L-1'] })

describe('POST /api/projections/{name}/repair', () => {
  it('answers what was done', async () => {
    const asked: unknown[] = []
    await using face = await faceWith(async (name, what) => {
      asked.push([name, what])
      return repaired
    })
    const response = await face.post(subjects, {}, path)
    expect([response.status, await response.json()]).toEqual([
      200,
      { ...repaired, seconds: expect.any(Number) },
    ])
    await face.post(
      JSON.stringify({ from: '2026-11-20T10:00:00+02:00', to: '2026-11-21T00:00:00Z' }),
      {},
      path,
    )
    expect(asked).toEqual([
      ['lead_profile', { subjects: ['L-1'] }],
      ['lead_profile', { from: '2026-11-20T08:00:00.000Z', to: '2026-11-21T00:00:00.000Z' }],
    ])
  })

  it('is not cut off however long it takes, and is one document in the end', async () => {
    const { promise: isSeen, resolve: seen } = Promise.withResolvers<void>()
    let hasBegun = false
    const repair: Repair = async () => {
      hasBegun = true
      await Promise.all([isSeen, delay(3 * idleTimeoutMs)])
      return repaired
    }
    await using face = await startFace({ repair, http: { idleTimeoutMs } })
    // Where a machine stands still, nothing moves on a connection whose request is there and was not read yet.
    const ask = () =>
      face.post(subjects, {}, path).catch((error: unknown) => {
        if (hasBegun) throw error
      })
    const response = await eventually(ask, (answer) => answer !== undefined)
    let text = ''
    for await (const piece of response!.body!.pipeThrough(new TextDecoderStream())) {
      text += piece
      if (text.length > 3) seen()
    }
    expect(text.length - text.trimStart().length).toBeGreaterThan(3)
    expect(JSON.parse(text)).toMatchObject(repaired)
  })

  it('tells how far it is, line by line, to who wants that', async () => {
    const { promise: isSeen, resolve: seen } = Promise.withResolvers<void>()
    await using face = await faceWith(async (_name, _what, { onProgress }) => {
      onProgress({ read: 5, total: 10 })
      await isSeen
      return repaired
    })
    const response = await face.post(subjects, { accept: 'application/x-ndjson' }, path)
    let text = ''
    for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
      text += piece
      if (text.includes('\n')) seen()
    }
    const lines = text.trim().split('\n')
    expect(JSON.parse(lines[0]!)).toEqual({ read: 5, total: 10 })
    expect(JSON.parse(lines.at(-1)!)).toMatchObject(repaired)
  })

  it('is shown by the command as it goes on, where it takes longer than two seconds', async () => {
    let tellEnd = () => {}
    await using face = await faceWith(async (_name, _what, { onProgress }) => {
      onProgress({ read: 500, total: 1_000 })
      await new Promise<void>((resolve) => {
        tellEnd = resolve
      })
      return repaired
    })
    let now = 0
    const shown: string[] = []
    const stderr = Object.assign(
      new Writable({
        write(text, _encoding, done) {
          shown.push(String(text))
          if (shown.join('').includes('50%')) tellEnd()
          done()
        },
      }),
      { isTTY: true, columns: 80, cursorTo() {}, moveCursor() {}, clearLine() {} },
    )
    const args = ['projections', 'repair', 'lead_profile', '--subject', 'L-1', '--url', face.url]
    const ran = await run(projectionsCommand, args, {
      ...{
        showsProgress: true,
        now: () => (now += 1_500),
        stderr: stderr as unknown as NodeJS.WritableStream,
      },
    })
    expect([ran.status, ran.out]).toEqual([0, expect.stringContaining('1 rows of 1 subjects')])
    expect(shown.join('')).toContain('500 records to read')
  })

  it('ends with a problem, whenever it fails', async () => {
    const changed = new EmbudoError('log_changed', 'not that log')
    let afterMs = 0
    await using face = await faceWith(async () => {
      await delay(afterMs)
      throw changed
    })
    const at = await face.post(subjects, {}, path)
    expect([at.status, await at.json()]).toEqual([409, expect.objectContaining({ code: 'log_changed' })])
    afterMs = 100
    const lines = await (await face.post(subjects, { accept: 'application/x-ndjson' }, path)).text()
    expect(JSON.parse(lines.trim().split('\n').at(-1)!)).toMatchObject({
      error: { code: 'log_changed', status: 409 },
    })
    await expect(face.post(subjects, {}, path).then((late) => late.json())).rejects.toThrow()
  })

  it('is ended where nobody waits for it, and another one may begin', async () => {
    const ended = Promise.withResolvers<void>()
    let calls = 0
    await using face = await faceWith(async (_name, _what, { signal }) => {
      if (++calls > 1) return repaired
      await new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          ended.resolve()
          reject(signal.reason)
        })
      })
      throw new Error('unreachable')
    })
    const leaving = new AbortController()
    const asking = fetch(`${face.url}${path}`, {
      method: 'POST',
      body: subjects,
      headers: { 'content-type': 'application/json' },
      signal: leaving.signal,
    })
    const waiting = (await asking).text()
    const second = await face.post(subjects, {}, path)
    expect([second.status, await second.json()]).toEqual([
      409,
      expect.objectContaining({ code: 'repair_running' }),
    ])
    leaving.abort()
    await expect(waiting).rejects.toThrow()
    await ended.promise
    const third = await face.post(subjects, {}, path)
    expect(third.status).toBe(200)
    expect(face.errors).toEqual([])
  })

  it('refuses what it cannot read, and names the field', async () => {
    await using face = await faceWith(async () => repaired)
    const cases: readonly (readonly [unknown, string])[] = [
      [{}, '/from'],
      [[], ''],
      [{ subjects: [] }, '/subjects'],
      [{ subjects: [1] }, '/subjects/0'],
      [{ subjects: ['a\0'] }, '/subjects/0'],
      [{ subjects: ['L-1'], from: '2026-11-20T10:00:00Z' }, ''],
      [{ from: 'yesterday', to: '2026-11-20T10:00:00Z' }, '/from'],
      [{ from: '2026-11-20T10:00:00Z' }, '/to'],
    ]
    for (const [body, field] of cases) {
      const response = await face.post(JSON.stringify(body), {}, path)
      expect([response.status, await response.json()], JSON.stringify(body)).toEqual([
        422,
        expect.objectContaining({ code: 'invalid_repair', field }),
      ])
    }
  })
})
