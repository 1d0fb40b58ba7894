import { describe, expect, it, vi } from 'vitest'
import { until } from '../../processes.ts'
import { attended, startFace } from './http-face.ts'
import { chunk, head, post, RawClient } from './raw-client.ts'

const one = JSON.stringify(attended())
const streamed = { 'content-type': 'application/x-ndjson', 'transfer-encoding': 'chunked' }
const get = (path: string) => `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`

describe('a server that stops', () => {
  it('says so on connections that it has, answers what was accepted, and takes no new ones', async () => {
    await using face = await startFace()
    using accepted = await RawClient.connect(face.port)
    using kept = await RawClient.connect(face.port)
    using idle = await RawClient.connect(face.port)
    await kept.send(get('/readyz')).answer()
    expect(kept.answers[0]!.status).toBe(200)
    expect((await idle.send(post(one)).answer()).status).toBe(202)
    const release = face.log.faults.holdAppends()
    accepted.send(post(one))
    kept.send(post(one))
    await until('both are held', () => face.admission.heldBytes > 8_000)

    const drained = face.http.drain(120_000)

    await idle.closed()
    // One that was sent before the end was heard of, on a connection that still has an answer to come.
    kept.send(get('/readyz'), post(one))
    await until('it is taken as well', () => face.admission.heldBytes > 12_000)
    await expect(RawClient.connect(face.port)).rejects.toThrow(/ECONNREFUSED/)
    release()
    expect((await accepted.answer()).status).toBe(202)
    // The head of this one was written before the end began.
    expect((await kept.answer(2)).status).toBe(202)
    const ready = await kept.answer(3)
    expect([ready.status, ready.headers.connection]).toEqual([503, 'close'])
    await drained
    const sent = [accepted, idle, kept].flatMap(({ answers }) => answers)
    const events = sent.filter(({ status }) => status === 202).length
    expect((await face.appended()).length).toBeGreaterThanOrEqual(events)
    expect(face.admission.heldBytes).toBe(0)
  })

  it('lets a stream that could go on for ever end with an answer: what it accepted, and where to go on', async () => {
    await using face = await startFace({ limits: { idleMs: 50 } })
    using stream = await RawClient.connect(face.port)
    stream.send(head(streamed), chunk(`${one}\n`.repeat(7)))
    await until('seven are appended', async () => (await face.appended()).length === 7)

    vi.useFakeTimers({ toFake: ['setTimeout'] })
    const drained = face.http.drain(2_000)
    vi.advanceTimersByTime(1_000)
    vi.useRealTimers()

    const { status, body } = await stream.answer()
    expect(status).toBe(207)
    expect(JSON.parse(body)).toMatchObject({
      accepted: 7,
      stoppedAt: 7,
      stoppedBy: { code: 'stopping', retriable: true },
    })
    await drained
    expect(await face.appended()).toHaveLength(7)
  })

  it('lets a stream that comes to its end in time come to it', async () => {
    await using face = await startFace()
    using stream = await RawClient.connect(face.port)
    stream.send(head(streamed), chunk(`${one}\n`))
    await until('it is held', () => face.admission.heldBytes > 64 * 1024)
    const drained = face.http.drain(120_000)
    stream.send(chunk(`${one}\n`), '0\r\n\r\n')
    expect((await stream.answer()).status).toBe(202)
    await drained
    expect(await face.appended()).toHaveLength(2)
  })

  it('cuts off who does not go, and nothing stays held', async () => {
    await using face = await startFace()
    using slow = await RawClient.connect(face.port)
    slow.send(head({ 'content-length': 100 }))
    await until('it is held', () => face.admission.heldBytes > 0)
    await face.http.drain(100)
    await slow.closed()
    await until('nothing is held', () => face.admission.heldBytes === 0)
  })
})
