import { afterAll, beforeAll, expect, it } from 'vitest'
import { EmbudoError } from '../../../src/define/error.ts'
import { startFace } from './http-face.ts'

/** What the routes asked for, in order. */
const asked: unknown[] = []
const generation = { generation: 2, version: 1, state: 'live' as const, paused: false, maxPerSecond: null }
const does =
  (what: string) =>
  async (...args: unknown[]) => {
    asked.push([what, ...args])
    return generation
  }

let face: Awaited<ReturnType<typeof startFace>>
beforeAll(async () => {
  face = await startFace({
    projections: {
      rebuild: does('rebuild'),
      switch: does('switch'),
      pause: does('pause'),
      resume: does('resume'),
      drop: does('drop'),
      verify: async () => ({ rows: 3, differences: 0 }),
      rollback: async () => {
        throw new EmbudoError('generation_behind', 'it lacks records')
      },
    },
  })
})
afterAll(async () => {
  expect(face.errors).toEqual([])
  await face[Symbol.asyncDispose]()
})

const post = (what: string, body?: unknown) =>
  fetch(`${face.url}/api/projections/lead_profile/${what}`, {
    method: 'POST',
    ...(body === undefined
      ? {}
      : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  })

it.each([
  ['rebuild', undefined, 202, ['rebuild', 'lead_profile', { switchesItself: true, force: false }]],
  [
    'rebuild',
    { maxPerSecond: 500, switch: 'manual', force: true },
    202,
    ['rebuild', 'lead_profile', { switchesItself: false, force: true, maxPerSecond: 500 }],
  ],
  ['switch', undefined, 200, ['switch', 'lead_profile']],
  ['pause', undefined, 200, ['pause', 'lead_profile']],
  ['resume', undefined, 200, ['resume', 'lead_profile', {}]],
  ['resume', { maxPerSecond: null }, 200, ['resume', 'lead_profile', { maxPerSecond: null }]],
  ['drop', undefined, 200, ['drop', 'lead_profile', 'previous']],
  ['drop', { generation: 'building' }, 200, ['drop', 'lead_profile', 'building']],
])('%s with %j', async (what, body, status, call) => {
  const response = await post(what, body)
  expect(response.status).toBe(status)
  expect(await response.json()).toEqual({ name: 'lead_profile', ...generation })
  expect(asked.at(-1)).toEqual(call)
})

it('answers what a comparison found', async () => {
  expect(await (await post('verify')).json()).toEqual({ name: 'lead_profile', rows: 3, differences: 0 })
})

it('says that the other generation lacks records as a conflict', async () => {
  const response = await post('rollback')
  expect(response.status).toBe(409)
  expect(await response.json()).toMatchObject({ code: 'generation_behind' })
})

it.each([
  ['rebuild', { maxPerSecond: 0 }, '/maxPerSecond'],
  ['rebuild', { switch: 'never' }, '/switch'],
  ['rebuild', { faster: true }, '/'],
  ['resume', { maxPerSecond: 'fast' }, '/maxPerSecond'],
  ['drop', { generation: 'live' }, '/generation'],
  ['drop', [], '/'],
  ['drop', null, '/'],
])('refuses %s with %j, and names the field', async (what, body, field) => {
  const before = asked.length
  const response = await post(what, body)
  expect(response.status).toBe(400)
  expect(await response.json()).toMatchObject({ code: 'bad_parameter', field })
  expect(asked).toHaveLength(before)
})
