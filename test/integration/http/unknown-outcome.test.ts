import { describe, expect, it } from 'vitest'
import { attended, startFace } from './http-face.ts'

type Face = Awaited<ReturnType<typeof startFace>>

const one = JSON.stringify(attended())
const paths: [what: string, send: (face: Face) => Promise<Response>][] = [
  ['one event', (face) => face.post(one)],
  ['an array', (face) => face.post(`[${one},${one}]`)],
  ['NDJSON', (face) => face.post(`${one}\n${one}\n`, { 'content-type': 'application/x-ndjson' })],
  ['a new lead', (face) => face.post('{"email":"ada@example.com"}', {}, '/api/leads')],
  [
    'a lead that changes',
    (face) =>
      fetch(`${face.url}/api/leads/L-1`, {
        method: 'PUT',
        body: '{"company":"Acme"}',
        headers: { 'content-type': 'application/json' },
      }),
  ],
]
const faults: [what: string, code: string, fail: (face: Face) => void][] = [
  ['the broker cannot be reached', 'log_unavailable', (face) => face.log.faults.disconnect()],
  [
    'the broker did not answer in time',
    'log_timeout',
    (face) => face.log.faults.failNextAppend({ code: 'log_timeout', detail: 'late', retriable: true }, true),
  ],
  ['too much waits already', 'log_busy', (face) => face.log.faults.refuseNextAppend()],
  ['the log was closed', 'log_unavailable', (face) => void face.log[Symbol.asyncDispose]()],
]

describe.each(faults)('when %s', (_fault, code, fail) => {
  it.each(paths)('%s: 503, to be sent again', async (what, send) => {
    await using face = await startFace({ limits: { maxBusyMs: 0 } })
    fail(face)
    const response = await send(face)
    const answer = (await response.json()) as Record<string, unknown>
    expect([what, response.status, answer.code, answer.retriable]).toEqual([what, 503, code, true])
    expect(Number(response.headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
    expect(face.admission.heldBytes).toBe(0)
    expect(face.errors).toEqual([])
  })
})

describe('when the log refuses for good', () => {
  it.each(paths)('%s: not 503', async (_what, send) => {
    await using face = await startFace()
    face.log.faults.failNextAppend({ code: 'record_too_large', detail: 'large', retriable: false }, false)
    const response = await send(face)
    expect([413, 422, 207]).toContain(response.status)
    expect(response.headers.get('retry-after')).toBeNull()
  })
})
