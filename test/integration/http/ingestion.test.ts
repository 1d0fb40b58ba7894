import { once } from 'node:events'
import net from 'node:net'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { exampleEvent } from '../../../src/ingest/example.ts'
import { until } from '../../processes.ts'
import { attended, type Body, catalog, startFace } from './http-face.ts'

type Face = Awaited<ReturnType<typeof startFace>>
let face: Face

beforeAll(async () => {
  face = await startFace({ limits: { maxLineBytes: 4096 } })
})
afterAll(async () => {
  expect(face.errors).toEqual([])
  await face[Symbol.asyncDispose]()
})

const json = JSON.stringify
const lines = (...events: unknown[]) =>
  events.map((event) => `${typeof event === 'string' ? event : json(event)}\n`).join('')
const ndjson = { 'content-type': 'application/x-ndjson' }

describe('one event', () => {
  it('is answered with its place, and is in the log as it was sent', async () => {
    await using own = await startFace()
    const event = attended(
      { engagementScore: 0.83 },
      { id: 'e-1', source: 'zoom', time: '2026-11-20T11:00:00+01:00' },
    )

    const response = await own.post(json(event))

    expect(response.status).toBe(202)
    const place = (await response.json()) as { id: string; topic: string; partition: number; offset: number }
    expect(place).toEqual({ id: 'e-1', topic: 'embudo.leads', partition: expect.any(Number), offset: 0 })
    expect(response.headers.get('embudo-position')).toBe(`embudo.leads:${place.partition}:0`)
    expect(await own.appended()).toMatchObject([
      {
        type: 'webinar_attended',
        id: 'e-1',
        source: 'zoom',
        time: '2026-11-20T10:00:00.000Z',
        subject: 'L-1',
        data: event.data,
      },
    ])
  })

  it('gets an id of version 7, the time and its caller where it names none', async () => {
    await using own = await startFace()
    const { id } = (await (await own.post(json(attended()))).json()) as { id: string }
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    const [event] = await own.appended()
    expect(event).toMatchObject({ id, source: 'http', data: { engagementScore: null } })
    expect(Math.abs(Date.parse(event!.time) - Date.now())).toBeLessThan(60_000)
  })

  it('keeps trace, correlation, causation and extension attributes as CloudEvents headers', async () => {
    await using own = await startFace()
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    await own.post(json(attended({}, { correlationid: 'c', causationid: 'b', tenant: 'acme' })), {
      traceparent,
    })
    const [event] = await own.appended()
    expect(event).toMatchObject({ traceparent, correlationId: 'c', causationId: 'b' })
  })

  it('takes money as text and as a number, exactly', async () => {
    await using own = await startFace()
    const sold = (value: unknown) => ({
      type: 'conversion_completed',
      data: { leadId: 'L', conversionType: 'sale', value, currency: 'EUR' },
    })
    const response = await own.post(json([sold('49'), sold(49.5), sold('49.0001'), sold(0)]))
    expect(await response.json()).toMatchObject({ accepted: 4 })
    expect((await own.appended()).map(({ data }) => data.value)).toEqual([
      '49.00',
      '49.50',
      '49.0001',
      '0.00',
    ])
  })

  it.each([...catalog.events.values()])('takes the example of $type', async (event) => {
    expect((await face.post(json(exampleEvent(event)))).status).toBe(202)
  })
})

describe('bad input is answered with status, code and field', () => {
  const cases: [
    what: string,
    body: string,
    status: number,
    code: string,
    field: string | undefined,
    detail: RegExp,
  ][] = [
    ['not JSON', '{"type":', 400, 'malformed_json', undefined, /JSON/],
    ['no body', '', 400, 'malformed_json', undefined, /empty/],
    ['no event', '42', 422, 'wrong_type', '', /an object with type and data/],
    ['no type', json({ data: {} }), 422, 'missing_field', '/type', /name of an event/],
    [
      'an unknown type',
      json(attended({}, { type: 'webinar_atended' })),
      422,
      'unknown_event_type',
      '/type',
      /did you mean webinar_attended/,
    ],
    ['no data', json({ type: 'webinar_attended' }), 422, 'missing_field', '/data', /object/],
    [
      'data of another type',
      json({ type: 'webinar_attended', data: [] }),
      422,
      'wrong_type',
      '/data',
      /object/,
    ],
    [
      'a missing field',
      json(attended({ webinarId: undefined })),
      422,
      'missing_field',
      '/data/webinarId',
      /text/,
    ],
    [
      'null where there must be something',
      json(attended({ webinarId: null })),
      422,
      'wrong_type',
      '/data/webinarId',
      /got null/,
    ],
    [
      'a number as text',
      json(attended({ attendanceDuration: '2710' })),
      422,
      'wrong_type',
      '/data/attendanceDuration',
      /integer of seconds/,
    ],
    [
      'minutes with a fraction',
      json(attended({ attendanceDuration: 90.5 })),
      422,
      'wrong_type',
      '/data/attendanceDuration',
      /expected an integer of seconds from 0 to 604800, got 90.5/,
    ],
    [
      'milliseconds',
      json(attended({ attendanceDuration: 2_710_000 })),
      422,
      'out_of_range',
      '/data/attendanceDuration',
      /604800/,
    ],
    [
      'a negative duration',
      json(attended({ attendanceDuration: -1 })),
      422,
      'out_of_range',
      '/data/attendanceDuration',
      /seconds/,
    ],
    [
      'percent in place of a ratio',
      json(attended({ engagementScore: 83 })),
      422,
      'out_of_range',
      '/data/engagementScore',
      /ratio.*from 0 to 1/,
    ],
    [
      'an integer past 2^53',
      '{"type":"webinar_attended","data":{"leadId":"L","webinarId":"W","attendanceDuration":9007199254740993}}',
      422,
      'out_of_range',
      '/data/attendanceDuration',
      /integer/,
    ],
    [
      'a field that is not known',
      json(attended({ extra: 1 })),
      422,
      'unknown_field',
      '/data/extra',
      /no such field/,
    ],
    [
      'a misspelt field',
      json(attended({ attendanceDuration: undefined, attendance_duration: 1 })),
      422,
      'unknown_field',
      '/data/attendance_duration',
      /did you mean attendanceDuration/,
    ],
    [
      'a mail address for an id',
      json(attended({ leadId: 'ada@example.com' })),
      422,
      'subject_is_personal',
      '/data/leadId',
      /opaque id/,
    ],
    ['an empty id', json(attended({ leadId: '' })), 422, 'bad_subject', '/data/leadId', /1 to 256/],
    [
      'too long an id',
      json(attended({ leadId: 'x'.repeat(257) })),
      422,
      'bad_subject',
      '/data/leadId',
      /1 to 256/,
    ],
    [
      'another subject',
      json(attended({}, { subject: 'L-2' })),
      422,
      'subject_mismatch',
      '/subject',
      /leadId/,
    ],
    ['NUL in a text', json(attended({ webinarId: 'a\0b' })), 422, 'bad_text', '/data/webinarId', /NUL/],
    [
      'a lone surrogate',
      json(attended({ webinarId: '\ud800' })),
      422,
      'bad_text',
      '/data/webinarId',
      /surrogate/,
    ],
    [
      'a day that does not exist',
      json({
        type: 'spend_recorded',
        data: { source: 's', amount: '1', currency: 'EUR', day: '2026-02-30' },
      }),
      422,
      'bad_date',
      '/data/day',
      /YYYY-MM-DD/,
    ],
    [
      'five decimals',
      json({
        type: 'spend_recorded',
        data: { source: 's', amount: '1.00001', currency: 'EUR', day: '2026-02-03' },
      }),
      422,
      'bad_decimal',
      '/data/amount',
      /4 after/,
    ],
    [
      'money that lost digits',
      '{"type":"spend_recorded","data":{"source":"s","amount":12345678901234.5678,"currency":"EUR","day":"2026-02-03"}}',
      422,
      'bad_decimal',
      '/data/amount',
      /as text/,
    ],
    [
      'negative money',
      json({ type: 'spend_recorded', data: { source: 's', amount: -1, currency: 'EUR', day: '2026-02-03' } }),
      422,
      'out_of_range',
      '/data/amount',
      /at least 0/,
    ],
    [
      'a currency in words',
      json({ type: 'spend_recorded', data: { source: 's', amount: 1, currency: 'euro', day: '2026-02-03' } }),
      422,
      'wrong_format',
      '/data/currency',
      /EUR/,
    ],
    [
      'none of the allowed',
      json({ type: 'system_alert', data: { alertId: 'a', alertType: 't', severity: 'bad', message: '' } }),
      422,
      'not_one_of',
      '/data/severity',
      /info, warning, critical/,
    ],
    [
      'a text in a list that is none',
      json({ type: 'content_rejected', data: { contentId: 'c', scores: {}, reasons: [1] } }),
      422,
      'wrong_type',
      '/data/reasons/0',
      /list/,
    ],
    ['a time in words', json(attended({}, { time: 'yesterday' })), 422, 'bad_time', '/time', /RFC 3339/],
    [
      'a time that does not exist',
      json(attended({}, { time: '2026-02-30T10:00:00Z' })),
      422,
      'bad_time',
      '/time',
      /RFC 3339/,
    ],
    [
      'a time of a far future',
      json(attended({}, { time: '2999-01-01T00:00:00Z' })),
      422,
      'bad_time',
      '/time',
      /a day from now/,
    ],
    ['an empty id of the event', json(attended({}, { id: '' })), 422, 'wrong_format', '/id', /1 to 256/],
    [
      'CloudEvents 0.3',
      json(attended({}, { specversion: '0.3' })),
      422,
      'unsupported_specversion',
      '/specversion',
      /1\.0/,
    ],
    [
      'a misspelt attribute',
      json(attended({}, { Source: 'x' })),
      422,
      'unknown_field',
      '/Source',
      /did you mean source/,
    ],
    [
      'data in base64',
      json(attended({}, { data_base64: 'e30=' })),
      422,
      'unsupported_data',
      '/data_base64',
      /JSON/,
    ],
    [
      'a polluting key in the data',
      '{"type":"webinar_attended","data":{"leadId":"L","webinarId":"W","attendanceDuration":1,"__proto__":{"x":1}}}',
      422,
      'unknown_field',
      '/data/__proto__',
      /no such field/,
    ],
    [
      'a polluting key in the envelope',
      '{"type":"webinar_attended","__proto__":{"x":1},"data":{"leadId":"L","webinarId":"W","attendanceDuration":1}}',
      422,
      'unknown_field',
      '/__proto__',
      /no such field/,
    ],
    [
      'a polluting key in a map',
      '{"type":"content_validated","data":{"contentId":"c","scores":{"__proto__":1}}}',
      422,
      'unknown_field',
      '/data/scores/__proto__',
      /no such field/,
    ],
    [
      'JSON as deep as it is long',
      '['.repeat(200_000) + ']'.repeat(200_000),
      400,
      'too_deep',
      undefined,
      /64 levels/,
    ],
  ]

  it.each(cases)('%s', async (_what, body, status, code, field, detail) => {
    const response = await face.post(body)
    const problem = (await response.json()) as Record<string, unknown>
    expect(response.headers.get('content-type')).toBe('application/problem+json')
    expect(problem).toMatchObject({ status, code, ...(field === undefined ? {} : { field }) })
    expect(response.status).toBe(status)
    expect(problem.detail).toMatch(detail)
  })

  it('does not repeat personal text', async () => {
    const response = await face.post(
      json({ type: 'lead_registered', data: { leadId: 'L', email: 'ada@example.com\0' } }),
    )
    expect(await response.text()).not.toContain('ada')
  })

  it('a body too large, announced or not', async () => {
    const body = 'x'.repeat(11 * 1024 * 1024)
    expect((await face.post(body)).status).toBe(413)
    const stream = new Blob([body]).stream()
    const response = await fetch(`${face.url}/api/events`, {
      method: 'POST',
      body: stream,
      duplex: 'half',
      headers: { 'content-type': 'application/json' },
    } as RequestInit)
    expect(response.status).toBe(413)
    expect(await response.json()).toMatchObject({ code: 'body_too_large' })
  })

  it('a small body that becomes too large', async () => {
    const response = await face.post(gzipSync(' '.repeat(11 * 1024 * 1024)), { 'content-encoding': 'gzip' })
    expect(response.status).toBe(413)
  })

  it.each([
    ['another content type', { 'content-type': 'text/plain' }, 'unsupported_content_type'],
    ['another charset', { 'content-type': 'application/json; charset=utf-16' }, 'unsupported_content_type'],
    ['another compression', { 'content-encoding': 'br' }, 'unsupported_content_encoding'],
  ])('%s', async (_what, headers, code) => {
    const response = await face.post('{}', headers as Record<string, string>)
    expect(response.status).toBe(415)
    expect(await response.json()).toMatchObject({ code })
  })

  it('bytes that are not UTF-8, and not what they are said to be compressed with', async () => {
    expect(await (await face.post(Buffer.from([0x22, 0xff, 0x22]))).json()).toMatchObject({
      code: 'malformed_json',
    })
    expect(await (await face.post('{}', { 'content-encoding': 'gzip' })).json()).toMatchObject({
      code: 'body_malformed',
    })
  })
})

describe('many events', () => {
  const bad = attended({ attendanceDuration: -1 }, { id: 'bad' })

  it.each([
    ['an array', json([attended(), bad, attended()]), {}],
    [
      'a CloudEvents batch',
      json([attended(), bad, attended()]),
      { 'content-type': 'application/cloudevents-batch+json' },
    ],
    ['NDJSON', lines(attended(), '', bad, attended()), ndjson],
    ['NDJSON without a last newline', lines(attended(), bad, attended()).trimEnd(), ndjson],
    ['NDJSON, gzip', gzipSync(lines(attended(), bad, attended())), { ...ndjson, 'content-encoding': 'gzip' }],
    [
      'NDJSON, zstd',
      zstdCompressSync(lines(attended(), bad, attended())),
      { ...ndjson, 'content-encoding': 'zstd' },
    ],
    ['an array, zstd', zstdCompressSync(json([attended(), bad, attended()])), { 'content-encoding': 'zstd' }],
  ] as [string, Body, Record<string, string>][])(
    '%s: the good ones are accepted',
    async (_what, body, headers) => {
      await using own = await startFace()
      const response = await own.post(body, headers)
      expect(response.status).toBe(207)
      expect(await response.json()).toEqual({
        accepted: 2,
        rejected: 1,
        errors: [
          {
            index: 1,
            id: 'bad',
            code: 'out_of_range',
            field: '/data/attendanceDuration',
            detail: expect.any(String),
            retriable: false,
          },
        ],
      })
      expect(response.headers.get('embudo-position')).toMatch(/^embudo\.leads:\d:1$/)
      expect(await own.appended()).toHaveLength(2)
    },
  )

  it('names the last place of each partition', async () => {
    await using own = await startFace()
    const events = Array.from({ length: 50 }, (_, n) => attended({ leadId: `L-${n}` }))
    const response = await own.post(json(events))
    const ends = (await own.log.bounds('embudo.leads')).filter(({ end }) => end > 0)
    const places = response.headers.get('embudo-position')!.split(', ').sort()
    expect(places).toEqual(ends.map(({ partition, end }) => `embudo.leads:${partition}:${end - 1}`))
  })

  it('none accepted is 422, nothing sent is 202', async () => {
    const none = await face.post(json([bad]))
    expect(none.status).toBe(422)
    expect(await none.json()).toMatchObject({
      accepted: 0,
      rejected: 1,
      errors: [{ index: 0 }],
      code: 'no_event_accepted',
    })
    expect((await face.post('[]')).status).toBe(202)
    expect((await face.post('', ndjson)).status).toBe(202)
  })

  it('a line too long is refused and the rest goes on', async () => {
    const body = lines(attended(), attended({ webinarId: 'x'.repeat(5000) }), 'nope', attended())
    const response = await face.post(body, ndjson)
    expect(await response.json()).toMatchObject({
      accepted: 2,
      rejected: 2,
      errors: [
        { index: 1, code: 'line_too_large' },
        { index: 2, code: 'malformed_json' },
      ],
    })
  })

  it('tells the first 1,000 errors and how many more there are', async () => {
    const response = await face.post('nope\n'.repeat(1200), ndjson)
    const answer = (await response.json()) as { rejected: number; errors: unknown[]; errorsOmitted: number }
    expect([answer.rejected, answer.errors.length, answer.errorsOmitted]).toEqual([1200, 1000, 200])
  })

  it('a body that breaks off says from where on nothing is known', async () => {
    const zipped = gzipSync(
      lines(...Array.from({ length: 5000 }, (_, n) => attended({ leadId: `L-${Math.random()}-${n}` }))),
    )
    const response = await face.post(zipped.subarray(0, zipped.length - 2000), {
      ...ndjson,
      'content-encoding': 'gzip',
    })
    const answer = (await response.json()) as { accepted: number; stoppedAt: number }
    expect(response.status).toBe(207)
    expect(answer.stoppedAt).toBe(answer.accepted)
    expect(answer.accepted).toBeGreaterThan(0)
  })

  it('a client that goes away leaves what was appended, and nothing hangs', async () => {
    await using own = await startFace({ limits: { chunkEvents: 10, idleMs: 600_000 } })
    const socket = net.connect(own.port, '127.0.0.1')
    socket.write(
      'POST /api/events HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n',
    )
    const body = lines(...Array.from({ length: 35 }, () => attended()))
    socket.write(`${Buffer.byteLength(body).toString(16)}\r\n${body}\r\n`)
    await until('whole chunks are appended', async () => (await own.appended()).length === 30)
    socket.destroy()
    await once(socket, 'close')
    expect((await own.post(json(attended()))).status).toBe(202)
    expect(own.errors).toEqual([])
  })
})

describe('CloudEvents', () => {
  it('structured mode', async () => {
    const event = {
      specversion: '1.0',
      source: '/zoom',
      datacontenttype: 'application/json',
      subject: 'L-1',
      ...attended({}, { id: 's-1' }),
    }
    const response = await face.post(json(event), {
      'content-type': 'application/cloudevents+json; charset=UTF-8',
    })
    expect(await response.json()).toMatchObject({ id: 's-1' })
    expect((await face.post(json([event]), { 'content-type': 'application/cloudevents+json' })).status).toBe(
      422,
    )
    expect(
      (await face.post(json(event), { 'content-type': 'application/cloudevents-batch+json' })).status,
    ).toBe(400)
  })

  it('binary mode, with values percent-encoded', async () => {
    await using own = await startFace()
    const headers = {
      'ce-specversion': '1.0',
      'ce-type': 'webinar_attended',
      'ce-id': 'Euro%20%E2%82%AC%20%F0%9F%98%80',
      'ce-source': '/zoom',
      'ce-time': '2026-11-20T10:00:00Z',
      'ce-correlationid': 'c-1',
    }
    const response = await own.post(json(attended().data), headers)
    expect(response.status).toBe(202)
    expect(await own.appended()).toMatchObject([{ id: 'Euro € 😀', source: '/zoom', correlationId: 'c-1' }])
    const refused = await own.post(json({ ...attended().data, attendanceDuration: -1 }), headers)
    expect(await refused.json()).toMatchObject({ code: 'out_of_range', field: '/data/attendanceDuration' })
  })
})

describe('when the log fails', () => {
  it('one event: 503 with Retry-After, and a retry is right', async () => {
    await using own = await startFace()
    own.log.faults.failNextAppend({ code: 'log_unavailable', detail: 'no broker', retriable: true }, false)
    const response = await own.post(json(attended()))
    expect(response.status).toBe(503)
    expect(response.headers.get('retry-after')).toBe('1')
    expect(await response.json()).toMatchObject({ code: 'log_unavailable', retriable: true })
    expect(await own.appended()).toEqual([])
  })

  it('one event to a log that is full: 503 log_busy', async () => {
    await using own = await startFace()
    own.log.faults.refuseNextAppend()
    const response = await own.post(json(attended()))
    expect(response.status).toBe(503)
    expect(await response.json()).toMatchObject({ code: 'log_busy', retriable: true })
  })

  it('a stream waits for a full log', async () => {
    await using own = await startFace()
    own.log.faults.refuseNextAppend()
    expect(await (await own.post(lines(attended(), attended()), ndjson)).json()).toMatchObject({
      accepted: 2,
    })
  })

  it('a stream stops where the log broke off, and what went before counts', async () => {
    await using own = await startFace({ limits: { chunkEvents: 10 } })
    const events = Array.from({ length: 35 }, () => attended())
    const release = own.log.faults.holdAppends()
    const answer = own.post(lines(...events), ndjson)
    release()
    expect((await answer).status).toBe(202)

    own.log.faults.failNextAppend({ code: 'log_timeout', detail: 'no answer', retriable: true }, true)
    const broken = await own.post(lines(...events), ndjson)
    expect(broken.status).toBe(503)
    expect(broken.headers.get('retry-after')).toBe('1')
    expect(await broken.json()).toMatchObject({ accepted: 0, stoppedAt: 0, code: 'log_timeout' })
  })

  it('an array says of each event that it may be sent again', async () => {
    await using own = await startFace({ limits: { chunkEvents: 2 } })
    own.log.faults.failNextAppend({ code: 'log_unavailable', detail: 'no broker', retriable: true }, false)
    const response = await own.post(
      json([attended(), attended({ attendanceDuration: -1 }), attended(), attended()]),
    )
    expect(response.status).toBe(503)
    expect(await response.json()).toMatchObject({
      accepted: 0,
      errors: [
        { index: 0, code: 'log_unavailable', retriable: true },
        { index: 1, code: 'out_of_range', retriable: false },
        { index: 2, code: 'log_unavailable', retriable: true },
        { index: 3, code: 'log_unavailable', retriable: true },
      ],
    })
  })
})
