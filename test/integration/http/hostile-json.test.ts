import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { attended, startFace } from './http-face.ts'

type Face = Awaited<ReturnType<typeof startFace>>
let face: Face

beforeAll(async () => {
  face = await startFace()
})
afterAll(async () => {
  expect(face.errors).toEqual([])
  expect(face.admission.heldBytes).toBe(0)
  await face[Symbol.asyncDispose]()
})

const json = JSON.stringify
const nested = (open: string, close: string, levels: number, middle = '') =>
  open.repeat(levels) + middle + close.repeat(levels)

/** An event with one field of the data written as it stands. */
const withField = (field: string, value: string) => {
  const others = { leadId: 'L-1', webinarId: 'W-9', attendanceDuration: 1, [field]: undefined }
  return `{"type":"webinar_attended","data":{"${field}":${value},${json(others).slice(1)}}`
}
const withDuration = (value: string) =>
  `{"type":"webinar_attended","data":{"leadId":"L-1","webinarId":"W-9","attendanceDuration":${value}}}`
const withAttribute = (name: string, value: string) => `{"${name}":${value},${json(attended()).slice(1)}`
const withScores = (scores: string) =>
  `{"type":"content_validated","data":{"contentId":"c","scores":${scores}}}`

const cases: [what: string, body: string, status: number, code: string, field?: string][] = [
  ['lists that never end', '['.repeat(1_000_000), 400, 'too_deep'],
  ['objects that never end', '{"a":'.repeat(1_000_000), 400, 'too_deep'],
  ['lists in lists', nested('[', ']', 1_000_000), 400, 'too_deep'],
  ['few lists in lists', nested('[', ']', 1_000), 422, 'no_event_accepted'],
  ['objects in objects', nested('{"a":', '}', 500_000, '1'), 400, 'too_deep'],
  ['few objects in objects', nested('{"a":', '}', 2_000, '1'), 422, 'missing_field', '/type'],
  [
    'data in data',
    nested('{"type":"webinar_attended","data":', '}', 400, '1'),
    422,
    'missing_field',
    '/data/leadId',
  ],
  [
    'a deep field nobody knows',
    withField('a', nested('{"a":', '}', 2_000, '1')),
    422,
    'unknown_field',
    '/data/a',
  ],
  [
    'a deep known field',
    withDuration(nested('[', ']', 8_000)),
    422,
    'wrong_type',
    '/data/attendanceDuration',
  ],
  ['a deep map', withScores(nested('{"a":', '}', 2_000, '1')), 422, 'wrong_type', '/data/scores/a'],
  ['a deep attribute', withAttribute('tenant', nested('[', ']', 8_000)), 422, 'wrong_type', '/tenant'],
  ['__proto__ in the envelope', withAttribute('__proto__', '{"x":1}'), 422, 'unknown_field', '/__proto__'],
  ['__proto__ in the data', withField('__proto__', '{"x":1}'), 422, 'unknown_field', '/data/__proto__'],
  [
    '__proto__ for the data',
    '{"type":"webinar_attended","__proto__":{"data":{}}}',
    422,
    'unknown_field',
    '/__proto__',
  ],
  [
    '__proto__ with the fields that are missing',
    '{"type":"webinar_attended","data":{"__proto__":{"leadId":"L","webinarId":"W","attendanceDuration":1}}}',
    422,
    'missing_field',
    '/data/leadId',
  ],
  ['__proto__ in a map', withScores('{"__proto__":1}'), 422, 'unknown_field', '/data/scores/__proto__'],
  [
    'constructor in the data',
    withField('constructor', '{"prototype":{"x":1}}'),
    422,
    'unknown_field',
    '/data/constructor',
  ],
  ['prototype in the data', withField('prototype', '{"x":1}'), 422, 'unknown_field', '/data/prototype'],
  ['toString for a type', '{"type":"toString","data":{}}', 422, 'unknown_event_type', '/type'],
  ['__proto__ for a type', '{"type":"__proto__","data":{}}', 422, 'unknown_event_type', '/type'],
  [
    'constructor with no text',
    withAttribute('constructor', '{"prototype":{"x":1}}'),
    422,
    'wrong_type',
    '/constructor',
  ],
  ['a number past every double', withDuration('1e400'), 422, 'wrong_type', '/data/attendanceDuration'],
  [
    'a number of a million digits',
    withDuration('9'.repeat(1_000_000)),
    422,
    'wrong_type',
    '/data/attendanceDuration',
  ],
  [
    'a ratio of a million digits',
    withField('engagementScore', `1${'0'.repeat(400)}`),
    422,
    'wrong_type',
    '/data/engagementScore',
  ],
  ['a score that is infinite', withScores('{"a":1e999}'), 422, 'wrong_type', '/data/scores/a'],
  ['half a surrogate pair', withField('webinarId', '"\\ud800"'), 422, 'bad_text', '/data/webinarId'],
  ['half a pair in an id', withAttribute('id', '"\\udfff"'), 422, 'bad_text', '/id'],
  ['half a pair in a key', withField('\\ud800', '1'), 422, 'unknown_field'],
  ['NUL in a text', withField('webinarId', '"a\\u0000b"'), 422, 'bad_text', '/data/webinarId'],
  ['NUL itself', withField('webinarId', '"a\0b"'), 400, 'malformed_json'],
  ['NUL in an attribute', withAttribute('source', '"a\\u0000"'), 422, 'bad_text', '/source'],
  ['a subject of a megabyte', withField('leadId', json('a%40'.repeat(250_000))), 422, 'bad_subject'],
  ['a key of a megabyte', withField('k'.repeat(1_000_000), '1'), 422, 'unknown_field'],
]

describe.each([
  ['as JSON', 'application/json'],
  ['as a line', 'application/x-ndjson'],
])('hostile JSON %s is answered with what is wrong', (_as, type) => {
  it.each(cases)('%s', async (_what, body, status, code, field) => {
    const response = await face.post(body, { 'content-type': type })
    const answer = (await response.json()) as Record<string, unknown> & { errors?: Record<string, unknown>[] }
    expect(({} as Record<string, unknown>).x).toBeUndefined()
    if (type === 'application/json') {
      expect({ status: response.status, code: answer.code }).toEqual({ status, code })
      if (field !== undefined) expect(answer.field).toBe(field)
    } else {
      // A line holds one event: a list in it is none, and a line too long is not read.
      expect(response.status).toBe(422)
      const codes = [code, 'line_too_large', 'wrong_type']
      expect(codes).toContain(answer.errors?.[0]?.code)
    }
    expect(json(answer).length).toBeLessThan(10_000)
  })
})

describe('what looks hostile and is not is taken exactly', () => {
  it.each([
    ['a name of every object for an attribute', withAttribute('constructor', '"text"'), {}],
    ['text beyond the basic plane', withField('webinarId', '"\\ud83d\\ude00"'), { webinarId: '😀' }],
    [
      'a text of brackets',
      withField('webinarId', json('[{'.repeat(20_000))),
      { webinarId: '[{'.repeat(20_000) },
    ],
    ['text that names a prototype', withField('webinarId', '"__proto__"'), { webinarId: '__proto__' }],
    ['an integer with a point and an exponent', withDuration('2.71e3'), { attendanceDuration: 2710 }],
    [
      'a ratio of many digits',
      withField('engagementScore', '0.1000000000000000055511151231257827'),
      { engagementScore: 0.1 },
    ],
  ])('%s', async (_what, body, data) => {
    await using own = await startFace()
    const response = await own.post(body)
    expect([response.status, await response.text()]).toEqual([202, expect.any(String)])
    expect((await own.appended()).map((event) => event.data)).toMatchObject([data])
  })
})

it('an array of many mistakes holds nobody else up', async () => {
  const count = 60_000
  let turns = 0
  let isDone = false
  const look = () => {
    // While its events are looked at, which counts for each of them.
    if (face.admission.heldBytes >= count * 256) turns += 1
    if (!isDone) setImmediate(look)
  }
  look()
  const response = await face.post(`[${'{},'.repeat(count - 1)}{}]`)
  isDone = true
  expect(response.status).toBe(422)
  expect(await response.json()).toMatchObject({ rejected: count, errorsOmitted: count - 10_000 })
  expect(turns).toBeGreaterThanOrEqual(count / 1_000 - 1)
})

it('more events in one array than there is ever room for: 413, and how to send them', async () => {
  const response = await face.post(`[${'{},'.repeat(200_000)}{}]`)
  expect(response.status).toBe(413)
  expect(await response.json()).toMatchObject({
    code: 'body_too_large',
    detail: expect.stringContaining('ndjson'),
  })
})

it.each([
  ['empty objects', '{},', 3_000_000],
  ['lists in an event', '[],', 3_000_000],
])('what would take much memory once it is parsed is refused before: %s', async (what, unit, count) => {
  const parse = vi.spyOn(JSON, 'parse')
  const list = `[${unit.repeat(count)}${unit.slice(0, -1)}]`
  const response = await face.post(what === 'empty objects' ? list : withDuration(list))
  expect(parse.mock.calls.filter(([text]) => text.length > 1_000_000)).toEqual([])
  parse.mockRestore()
  expect(response.status).toBe(413)
  expect(await response.json()).toMatchObject({ code: 'body_too_large' })
})

it('an array of events with keys that are there twice holds nobody else up', async () => {
  const one = `{"type":"x","data":{"a":"${'a'.repeat(200)}","a":1}}`
  let turns = 0
  let isDone = false
  const look = () => {
    if (face.admission.heldBytes >= 20_000 * 256 + 4_000_000) turns += 1
    if (!isDone) setImmediate(look)
  }
  look()
  const response = await face.post(`[${`${one},`.repeat(19_999)}${one}]`)
  isDone = true
  expect(await response.json()).toMatchObject({ rejected: 20_000, errors: expect.arrayContaining([]) })
  // The search takes a turn for each 256 KiB, and looking at the events one for each thousand.
  expect(turns).toBeGreaterThanOrEqual(20 + 15)
})
