import { gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { attended, startFace } from '../integration/http/http-face.ts'

let face: Awaited<ReturnType<typeof startFace>>
beforeAll(async () => {
  face = await startFace()
})
afterAll(async () => {
  expect(face.errors).toEqual([])
  await face[Symbol.asyncDispose]()
})

const contentType = fc.constantFrom(
  'application/json',
  'application/cloudevents+json',
  'application/cloudevents-batch+json',
  'application/x-ndjson',
)
const encoding = fc.constantFrom('identity', 'gzip', 'zstd')
const event = fc
  .record({ id: fc.string(), leadId: fc.string(), attendanceDuration: fc.integer() })
  .map(({ id, ...data }) => attended(data, { id }))
const body = fc.oneof(
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  fc
    .oneof(fc.jsonValue({ maxDepth: 3 }), event, fc.array(event, { maxLength: 4 }))
    .map((value) => Buffer.from(JSON.stringify(value))),
  fc
    .array(event, { maxLength: 4 })
    .map((events) => Buffer.from(events.map((one) => JSON.stringify(one)).join('\n'))),
)

it('any body, however typed, compressed and cut off, is answered and never with a fault of the server', async () => {
  await fc.assert(
    fc.asyncProperty(
      body,
      contentType,
      encoding,
      encoding,
      fc.nat(60),
      async (bytes, type, said, done, cut) => {
        const sent = done === 'gzip' ? gzipSync(bytes) : done === 'zstd' ? zstdCompressSync(bytes) : bytes
        const kept = cut < 50 ? sent : sent.subarray(0, Math.max(0, sent.length - cut))
        const response = await face.post(new Uint8Array(kept), {
          'content-type': type,
          'content-encoding': said,
        })
        const answer = (await response.json()) as Record<string, unknown>
        expect(response.status).toBeLessThan(500)
        if (response.status === 202 || response.status === 207) {
          expect(response.headers.has('embudo-position')).toBe(answer.accepted !== 0)
        } else {
          expect(response.headers.get('content-type')).toBe('application/problem+json')
          expect(answer.code).toMatch(/^[a-z_]+$/)
        }
      },
    ),
    { numRuns: 300 },
  )
})

it('any query is answered and never with a fault of the server', async () => {
  const paths = fc.constantFrom(
    '/api/leads',
    '/api/leads/x/events',
    '/api/read-models/lead_profile',
    '/api/sagas',
    '/api/nothing',
  )
  const names = fc.oneof(
    fc.constantFrom('limit', 'cursor', 'sort', 'company', 'revenue', 'registered_at', 'state', '__proto__'),
    fc.string(),
  )
  await fc.assert(
    fc.asyncProperty(
      paths,
      fc.array(fc.tuple(names, fc.string({ unit: 'binary' })), { maxLength: 3 }),
      async (path, query) => {
        const response = await fetch(`${face.url}${path}?${new URLSearchParams(query)}`)
        await response.json()
        expect(response.status).toBeLessThan(500)
      },
    ),
    { numRuns: 300 },
  )
})
