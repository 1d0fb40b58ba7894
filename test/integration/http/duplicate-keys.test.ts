import { afterAll, beforeAll, expect, it } from 'vitest'
import { startFace } from './http-face.ts'

let face: Awaited<ReturnType<typeof startFace>>

beforeAll(async () => {
  face = await startFace()
})
afterAll(() => face[Symbol.asyncDispose]())

const data = '{"leadId":"L-1","webinarId":"W-9","attendanceDuration":2710}'
const good = `{"type":"webinar_attended","id":"good","data":${data}}`
const twoIds = `{"type":"webinar_attended","id":"a" , "id" :"b","data":${data}}`
const twoLeads = `{"type":"webinar_attended","id":"\\u0061","data":{"leadId":"L-2",${data.slice(1)}}`
const refusedAt = (field: string) => ({ code: 'duplicate_key', field, retriable: false })

it.each([
  ['in the event', 'application/json', twoIds, '/id'],
  ['in the data', 'application/json', twoLeads, '/data/leadId'],
  ['in structured mode', 'application/cloudevents+json', twoLeads, '/data/leadId'],
])('a key that is there twice is refused %s', async (_, type, body, field) => {
  const response = await face.post(body, { 'content-type': type })
  expect(response.status).toBe(422)
  expect(await response.json()).toMatchObject(refusedAt(field))
})

it('a key that is there twice is refused in binary mode, where the body is the data', async () => {
  const body = `{"leadId":"L-2",${data.slice(1)}`
  const response = await face.post(body, { 'ce-type': 'webinar_attended', 'ce-specversion': '1.0' })
  expect(response.status).toBe(422)
  expect(await response.json()).toMatchObject(refusedAt('/data/leadId'))
})

it.each([
  ['an array', 'application/json', `[${[good, twoIds, good, twoLeads].join(',')}]`],
  ['a batch of CloudEvents', 'application/cloudevents-batch+json', `[${good},${twoIds},${good},${twoLeads}]`],
  ['lines', 'application/x-ndjson', [good, twoIds, good, twoLeads].join('\n')],
])('of %s the others are accepted', async (_, type, body) => {
  const response = await face.post(body, { 'content-type': type })
  expect(response.status).toBe(207)
  expect(await response.json()).toMatchObject({
    accepted: 2,
    rejected: 2,
    errors: [
      { index: 1, ...refusedAt('/id') },
      { index: 3, ...refusedAt('/data/leadId') },
    ],
  })
})

it.each([
  ['post', '/api/leads'],
  ['put', '/api/leads/L-1'],
])('a key that is there twice is refused where a lead is written, %s', async (method, path) => {
  const before = (await face.appended()).length
  const response = await fetch(`${face.url}${path}`, {
    method,
    body: '{"company":"Acme","company":"Other"}',
    headers: { 'content-type': 'application/json' },
  })
  expect(response.status).toBe(422)
  expect(await response.json()).toMatchObject(refusedAt('/company'))
  expect(await face.appended()).toHaveLength(before)
})
