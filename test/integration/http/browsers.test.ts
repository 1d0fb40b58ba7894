import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { attended, startFace } from './http-face.ts'

type Face = Awaited<ReturnType<typeof startFace>>
const origin = 'https://app.example.com'
let face: Face

beforeAll(async () => {
  face = await startFace({
    origins: [origin, 'http://localhost:3000'],
    limits: { maxInFlightBytes: 1024 * 1024 },
  })
})
afterAll(() => face[Symbol.asyncDispose]())

const preflight = (from: string, asked: string, path = '/api/events') =>
  fetch(`${face.url}${path}`, {
    method: 'OPTIONS',
    headers: {
      origin: from,
      'access-control-request-method': 'POST',
      'access-control-request-headers': asked,
    },
  })

describe('a page of an origin that may call', () => {
  it('is told what it may send', async () => {
    const response = await preflight(origin, 'content-type,ce-id,ce-tenant,x-evil')
    expect(response.status).toBe(204)
    expect(response.headers.get('access-control-allow-origin')).toBe(origin)
    expect(response.headers.get('access-control-allow-methods')).toContain('POST')
    const allowed = response.headers.get('access-control-allow-headers')!.split(',')
    expect(allowed).toEqual(
      expect.arrayContaining([
        ...['content-type', 'content-encoding', 'traceparent', 'embudo-position'],
        ...['ce-id', 'ce-tenant'],
      ]),
    )
    expect(allowed).not.toContain('x-evil')
  })

  it.each([
    ['taken', JSON.stringify(attended()), 202],
    ['refused', 'nope', 400],
    ['too large', ' '.repeat(1024 * 1024), 413],
  ])('can read the answer to what is %s', async (_what, body, status) => {
    const response = await face.post(body, { origin })
    expect(response.status).toBe(status)
    expect(response.headers.get('access-control-allow-origin')).toBe(origin)
    expect(response.headers.get('access-control-expose-headers')).toBe('Embudo-Position,Retry-After')
    expect(response.headers.get('vary')).toContain('Origin')
  })

  it('can read what Express answers', async () => {
    const response = await fetch(`${face.url}/livez`, { headers: { origin: 'http://localhost:3000' } })
    expect(response.headers.get('access-control-allow-origin')).toBe('http://localhost:3000')
  })
})

it.each(['https://evil.example.com', 'https://app.example.com.evil.com', 'null', 'http://app.example.com'])(
  'a page of %s may not',
  async (from) => {
    const asked = await preflight(from, 'content-type')
    expect(asked.headers.get('access-control-allow-origin')).toBeNull()
    const response = await face.post(JSON.stringify(attended()), { origin: from })
    expect(response.headers.get('access-control-allow-origin')).toBeNull()
  },
)

it('where no origins are set, nothing is said', async () => {
  await using plain = await startFace()
  const response = await plain.post(JSON.stringify(attended()), { origin })
  expect(response.headers.get('access-control-allow-origin')).toBeNull()
  expect(response.headers.get('vary')).toBeNull()
})
