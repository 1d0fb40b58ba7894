import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Program } from '../../program.ts'
import { readLog } from './log-reader.ts'
import { expectExactlyOnce } from './oracle.ts'

let program: Program
beforeAll(async () => {
  program = await Program.start()
})
afterAll(() => program[Symbol.asyncDispose]())

const attended = (id: string, change: Record<string, unknown> = {}) => ({
  type: 'webinar_attended',
  id,
  source: 'test',
  data: { leadId: 'L-1', webinarId: 'W-9', attendanceDuration: 2_710, engagementScore: 0.83, ...change },
})

const post = async (body: string, contentType = 'application/json') => {
  const response = await fetch(`${program.run.http}/api/events`, {
    method: 'POST',
    headers: { 'content-type': contentType },
    body,
  })
  const answer = (await response.json()) as Record<string, unknown>
  return { status: response.status, kind: response.headers.get('content-type'), answer }
}

const json = JSON.stringify

describe('bad input gets an answer that says what was expected', () => {
  it.each([
    ['not JSON', '{"type": "webinar_', 400, 'malformed_json', undefined],
    ['nothing', '', 400, 'malformed_json', undefined],
    [
      'an unknown type',
      json({ ...attended('b'), type: 'webinar_visited' }),
      422,
      'unknown_event_type',
      '/type',
    ],
    ['no data', json({ type: 'webinar_attended' }), 422, 'missing_field', '/data'],
    [
      'a missing field',
      json(attended('b', { webinarId: undefined })),
      422,
      'missing_field',
      '/data/webinarId',
    ],
    ['a field of another type', json(attended('b', { webinarId: 9 })), 422, 'wrong_type', '/data/webinarId'],
    ['an unknown field', json(attended('b', { room: 'A' })), 422, 'unknown_field', '/data/room'],
    [
      'milliseconds for seconds',
      json(attended('b', { attendanceDuration: 2_710_000 })),
      422,
      'out_of_range',
      '/data/attendanceDuration',
    ],
    [
      'percent for a ratio',
      json(attended('b', { engagementScore: 83 })),
      422,
      'out_of_range',
      '/data/engagementScore',
    ],
    [
      'a mail address for an id',
      json(attended('b', { leadId: 'a@example.com' })),
      422,
      'subject_is_personal',
      '/data/leadId',
    ],
    [
      'too large a body',
      json(attended('b', { webinarId: 'x'.repeat(11 * 1_024 * 1_024) })),
      413,
      'body_too_large',
      undefined,
    ],
  ])('%s', async (_what, body, status, code, field) => {
    const { answer, ...response } = await post(body)
    expect(response).toEqual({ status, kind: 'application/problem+json' })
    expect(answer).toMatchObject({ status, code, ...(field === undefined ? {} : { field }) })
    expect(String(answer.detail)).not.toBe('')
  })

  it('another content type', async () => {
    expect(await post('type=webinar_attended', 'text/plain')).toMatchObject({ status: 415 })
  })
})

describe('the good ones among bad ones are accepted', () => {
  it('in an array', async () => {
    const events = [attended('a-1'), attended('a-2', { engagementScore: 83 }), attended('a-3')]
    expect(await post(json(events))).toMatchObject({
      status: 207,
      answer: {
        accepted: 2,
        rejected: 1,
        errors: [
          { index: 1, id: 'a-2', code: 'out_of_range', field: '/data/engagementScore', retriable: false },
        ],
      },
    })
  })

  it('in NDJSON, a broken line included', async () => {
    const lines = [
      json(attended('n-1')),
      '{"type":',
      json(attended('n-3', { extra: 1 })),
      json(attended('n-4')),
    ]
    expect(await post(lines.join('\n'), 'application/x-ndjson')).toMatchObject({
      status: 207,
      answer: {
        accepted: 2,
        rejected: 2,
        errors: [
          { index: 1, code: 'malformed_json' },
          { index: 2, id: 'n-3', code: 'unknown_field', field: '/data/extra' },
        ],
      },
    })
  })

  it('and only they are in the log, in Postgres and in ClickHouse', async () => {
    await expectExactlyOnce(program.run)
    const records = await readLog(program.run)
    expect(records.map(({ id }) => id)).toEqual(['a-1', 'a-3', 'n-1', 'n-4'])
  })
})
