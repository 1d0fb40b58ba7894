import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { extensionText } from '../../../src/ingest/envelope.ts'
import { attended, startFace } from './http-face.ts'
import { RawClient } from './raw-client.ts'

let face: Awaited<ReturnType<typeof startFace>>
beforeAll(async () => {
  face = await startFace()
})
afterAll(() => face[Symbol.asyncDispose]())

const data = JSON.stringify(attended().data)
const withExtension = (value: string) => `{"type":"webinar_attended","sequence":${value},"data":${data}}`

const answerTo = async (port: number, head: readonly string[], body = '') => {
  using client = await RawClient.connect(port)
  client.send(`${head.join('\r\n')}\r\n\r\n${body}`)
  return await client.answer()
}

const binary = (...attributes: readonly string[]) => [
  ...['POST /api/events HTTP/1.1', 'host: a', 'content-type: application/json'],
  `content-length: ${data.length}`,
  ...attributes,
]

describe('a number in an extension attribute', () => {
  it.each(['0', '-1', '1.5', '9007199254740991', '-9007199254740991'])(
    '%s goes into the log as it is',
    async (number) => {
      const response = await face.post(withExtension(number))
      expect(response.status).toBe(202)
      expect(extensionText(Number(number))).toBe(number)
    },
  )

  it.each(['9007199254740993', '-12345678901234567890', '1e999'])(
    '%s, which would change, is refused',
    async (number) => {
      const response = await face.post(withExtension(number))
      expect(response.status).toBe(422)
      expect(await response.json()).toMatchObject({ code: 'out_of_range', field: '/sequence' })
    },
  )
})

describe('attributes in headers', () => {
  it('are refused where one is there twice: which of them counts cannot be told', async () => {
    const head = binary('ce-type: webinar_attended', 'ce-id: a', 'ce-id: b', 'ce-specversion: 1.0')
    const answer = await answerTo(face.port, head, data)
    expect(answer.status).toBe(422)
    expect(JSON.parse(answer.body)).toMatchObject({ code: 'duplicate_key', field: '/id' })
  })

  it('are binary mode, whichever of them is there: none is passed over', async () => {
    const answer = await answerTo(face.port, binary('ce-source: crm'), data)
    expect(answer.status).toBe(422)
    expect(JSON.parse(answer.body)).toMatchObject({ code: 'missing_field', field: '/type' })
  })

  it('keep what a URI has escaped for itself', async () => {
    const source = 'https://crm.example/x?a=b%20c'
    const head = binary('ce-type: webinar_attended', 'ce-specversion: 1.0', `ce-source: ${source}`)
    expect((await answerTo(face.port, head, data)).status).toBe(202)
    expect((await face.appended()).map((event) => event.source)).toContain(source)
  })
})

describe('a request', () => {
  it.each(['/api/events/', '/API/events'])('to %s finds nothing there', async (path) => {
    const response = await fetch(`${face.url}${path}`, { method: 'POST', body: '{}' })
    expect(response.status).toBe(404)
    expect(await response.json()).toMatchObject({ code: 'not_found' })
  })

  it('without a host is told so', async () => {
    const answer = await answerTo(face.port, ['GET /livez HTTP/1.1'])
    expect(answer.status).toBe(400)
    expect(JSON.parse(answer.body)).toMatchObject({ code: 'malformed_request' })
  })

  it('that expects what nobody does is told so', async () => {
    const head = ['POST /api/events HTTP/1.1', 'host: a', 'expect: miracles', 'content-length: 0']
    const answer = await answerTo(face.port, head)
    expect(answer.status).toBe(417)
    expect(JSON.parse(answer.body)).toMatchObject({ code: 'expectation_failed' })
  })

  it('whose body is announced in chunks and does not come is not waited for', async () => {
    await using own = await startFace({ limits: { bodyDeadlineMs: 300 } })
    using client = await RawClient.connect(own.port)
    const head = `POST /api/events HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n`
    client.send(head)
    const answer = await client.answer()
    expect(answer.status).toBe(408)
    expect(JSON.parse(answer.body)).toMatchObject({ code: 'body_timeout', retriable: true })
  })
})
