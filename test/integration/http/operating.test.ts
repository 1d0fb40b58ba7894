import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod'
import { until } from '../../processes.ts'
import { attended, startFace } from './http-face.ts'

let face: Awaited<ReturnType<typeof startFace>>

beforeAll(async () => {
  face = await startFace()
})
afterAll(async () => {
  expect(face.errors).toEqual([])
  await face[Symbol.asyncDispose]()
})

/** JSON Schema as a validator that is not the one it was made from; `$ref`s are written out. */
const schemaOf = (schema: object, components: Readonly<Record<string, object>>): z.ZodType => {
  const inline = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(inline)
    if (typeof value !== 'object' || value === null) return value
    if ('$ref' in value) return inline(components[String(value.$ref).split('/').at(-1)!])
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, inline(inner)]))
  }
  return z.fromJSONSchema(inline(schema) as Parameters<typeof z.fromJSONSchema>[0])
}

const get = (path: string, init: RequestInit = {}) => fetch(`${face.url}${path}`, init)

describe('the OpenAPI document', () => {
  interface Operation {
    readonly operationId: string
    readonly responses: Record<string, { content?: Record<string, unknown> }>
    readonly requestBody?: {
      content: Record<
        string,
        { schema: object; examples?: Record<string, { value: unknown }>; example?: unknown }
      >
    }
  }
  interface Document {
    readonly openapi: string
    readonly paths: Record<string, Record<string, Operation>>
    readonly components: { schemas: Record<string, object> }
  }
  let document: Document

  beforeAll(async () => {
    document = (await (await get('/openapi.json')).json()) as Document
  })

  it('is 3.1 and names every path of the face', () => {
    expect(document.openapi).toBe('3.1.0')
    expect(Object.keys(document.paths).sort()).toEqual(
      [...new Set(face.routes.map(({ path }) => path))].sort(),
    )
    const ids = Object.values(document.paths).flatMap((methods) =>
      Object.values(methods).map(({ operationId }) => operationId),
    )
    expect(new Set(ids).size).toBe(ids.length)
  })

  it('every documented operation answers as documented', async () => {
    for (const [path, methods] of Object.entries(document.paths)) {
      for (const [method, operation] of Object.entries(methods)) {
        const url = path
          .replace('/read-models/{name}', '/read-models/lead_profile')
          .replaceAll(/\{\w+\}/g, 'x')
        const response = await get(url, {
          method: method.toUpperCase(),
          ...(operation.requestBody === undefined
            ? {}
            : { body: '{}', headers: { 'content-type': 'application/json' } }),
        })
        const answered = `${method} ${path} ${response.status}`
        expect(Object.keys(operation.responses).map((status) => `${method} ${path} ${status}`)).toContain(
          answered,
        )
        const type = response.headers.get('content-type')!.split(';')[0]!
        expect(Object.keys(operation.responses[response.status]!.content ?? {}), answered).toContain(type)
      }
    }
  })

  it('has an example of every event type, which its schema and the endpoint both take', async () => {
    const { schema, examples } =
      document.paths['/api/events']!.post!.requestBody!.content['application/json']!
    const documented = schemaOf(schema, document.components.schemas)
    const isValid = (value: unknown) => documented.safeParse(value).success
    const { items } = (await (await get('/api/event-types')).json()) as {
      items: { type: string; avro: object; jsonSchema: object }[]
    }
    expect(Object.keys(examples!)).toEqual(items.map(({ type }) => type))
    for (const { type, jsonSchema } of items) {
      const event = examples![type]!.value as { data: unknown }
      expect(isValid(event), type).toBe(true)
      expect(schemaOf(jsonSchema, {}).safeParse(event.data).success, type).toBe(true)
      expect((await face.post(JSON.stringify(event))).status, type).toBe(202)
    }
    expect(isValid(attended({ attendanceDuration: -1 }))).toBe(false)
    expect(isValid(attended({ extra: 1 }))).toBe(false)
  })

  it('is shown by Swagger UI without anything from elsewhere', async () => {
    const page = await (await get('/docs/')).text()
    const assets = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path]) => path!)
    expect(assets.length).toBeGreaterThan(2)
    for (const path of assets) expect((await get(path)).status, path).toBe(200)
    expect((await get('/docs')).status).toBe(200)
  })
})

describe('what is not there', () => {
  it('404 and 405 are problems', async () => {
    const missing = await get('/api/nothing')
    expect([missing.status, missing.headers.get('content-type')]).toEqual([404, 'application/problem+json'])
    expect(await missing.json()).toMatchObject({ code: 'not_found', requestId: expect.any(String) })
    const wrong = await get('/api/leads/L-1', { method: 'DELETE' })
    expect([wrong.status, wrong.headers.get('allow')]).toEqual([405, 'GET, PUT'])
    expect(await wrong.json()).toMatchObject({
      code: 'method_not_allowed',
      detail: expect.stringContaining('DELETE'),
    })
    expect((await get('/api/events')).status).toBe(405)
    expect((await get('/api/leads/%ff')).status).toBe(400)
  })

  it('parameters that are not known or not valid are named', async () => {
    expect(await (await get('/api/sagas?colour=red')).json()).toMatchObject({
      status: 400,
      code: 'unknown_parameter',
      field: 'colour',
    })
    for (const limit of ['0', '1001', 'x', '1.5', '']) {
      expect(await (await get(`/api/sagas?limit=${limit}`)).json()).toMatchObject({
        status: 400,
        code: 'bad_parameter',
        field: 'limit',
      })
    }
    expect(await (await get('/api/sagas?state=GONE')).json()).toMatchObject({ status: 400, field: 'state' })
    expect((await get('/api/sagas?limit=1&limit=2')).status).toBe(400)
  })
})

it('says how it is', async () => {
  expect(await (await get('/health')).json()).toEqual({ status: 'ok', parts: { kafka: { status: 'ok' } } })
  expect((await get('/livez')).status).toBe(200)
  expect((await get('/readyz')).status).toBe(200)
  const metrics = await get('/metrics')
  expect(metrics.headers.get('content-type')).toContain('text/plain')
  expect(await metrics.text()).toContain('embudo_ingest_events_accepted_total')
})

it('writes leads by appending what happened', async () => {
  await using own = await startFace()
  const registered = await own.post(JSON.stringify({ email: 'ada@example.com' }), {}, '/api/leads')
  expect(registered.status).toBe(202)
  const { leadId } = (await registered.json()) as { leadId: string }
  expect(registered.headers.get('embudo-position')).toMatch(/^embudo\.leads:\d:0$/)
  const put = (id: string, body: unknown) =>
    fetch(`${own.url}/api/leads/${id}`, {
      method: 'PUT',
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json' },
    })
  expect((await put(leadId, { company: 'Acme' })).status).toBe(202)
  expect(await own.appended()).toMatchObject([
    { type: 'lead_registered', subject: leadId, data: { leadId, email: 'ada@example.com' } },
    { type: 'lead_updated', subject: leadId, data: { leadId, company: 'Acme', email: null } },
  ])
  expect(await (await put(leadId, { compony: 'Acme' })).json()).toMatchObject({
    status: 422,
    code: 'unknown_field',
    field: '/compony',
  })
  expect(await (await put(leadId, { leadId: 'other' })).json()).toMatchObject({
    status: 422,
    code: 'subject_mismatch',
  })
  expect((await own.post('[]', {}, '/api/leads')).status).toBe(422)
  expect((await own.post('{', {}, '/api/leads')).status).toBe(400)
})

it('finishes what has begun when it stops', async () => {
  await using own = await startFace()
  const release = own.log.faults.holdAppends()
  const answer = own.post(JSON.stringify(attended()))
  await until('it is held', () => own.admission.heldBytes > 0)
  const stopped = own.http.drain(120_000)
  expect(own.http.isDraining()).toBe(true)
  release()
  expect((await answer).status).toBe(202)
  await stopped
  await expect(own.post(JSON.stringify(attended()))).rejects.toThrow()
})
