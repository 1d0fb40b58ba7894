import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { CloudEvent, emitterFor, HTTP, httpTransport, Kafka, type Message, Mode } from 'cloudevents'
import { afterAll, beforeAll, describe, expect, inject, it, vi } from 'vitest'
import { type LogRecord, readLog } from '../faults/whole-program/log-reader.ts'
import { finished } from '../program.ts'
import { pythonVersion, pythonWithPackages } from './python.ts'
import { type RealFace, startRealFace } from './real-face.ts'

let face: RealFace
let types: EventType[]
beforeAll(async () => {
  face = await startRealFace(inject('parts'))
  types = ((await (await fetch(`${face.url}/api/event-types`)).json()) as { items: EventType[] }).items
  expect(types.length).toBeGreaterThan(20)
})
afterAll(() => face?.[Symbol.asyncDispose]())

interface EventType {
  readonly type: string
  readonly topic: string
  readonly subject: string
  readonly version: number
  readonly example: { readonly data: Record<string, unknown> }
}

type Attributes = Readonly<Record<string, string>> & { readonly id: string; readonly type: string }

/** Every attribute that CloudEvents knows, and extensions, its own of tracing among them. */
const attributesOf = ({ type, subject, example }: EventType, id: string = randomUUID()): Attributes => ({
  ...{
    specversion: '1.0',
    id,
    type,
    source: 'https://crm.example/hooks?tenant=7#leads',
    time: '2026-11-20T10:00:00.123Z',
  },
  ...{ subject: String(example.data[subject]), dataschema: 'https://crm.example/schemas/7.json' },
  ...{ datacontenttype: 'application/json', tenant: 'acme', sequence: '42', comexampleflag: 'true' },
  ...{ correlationid: `order-${id}`, causationid: 'cause', partitionkey: 'P-1' },
  ...{
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    tracestate: 'vendor=a:b,other=c',
  },
})

describe('the JavaScript SDK', () => {
  const made = () =>
    types.map((type) => {
      const { dataschema, ...attributes } = attributesOf(type)
      return new CloudEvent({
        ...attributes,
        dataschema: String(dataschema),
        source: String(attributes.source),
        data: type.example.data,
      })
    })

  it.each([
    ['binary', HTTP.binary],
    ['structured', HTTP.structured],
  ] as const)('HTTP.%s is accepted and kept', async (_mode, convert) => {
    const events = made()
    for (const event of events) expectAccepted(await sent(convert(event)), event.id)
    await expectInLog(events)
  })

  it.each([Mode.BINARY, Mode.STRUCTURED])(
    'emitterFor with httpTransport, %s, is accepted and kept',
    async (mode) => {
      const emit = emitterFor(httpTransport(`${face.url}/api/events`), { mode })
      const events = made()
      for (const event of events) {
        const { body } = (await emit(event)) as { body: string }
        expect(JSON.parse(body)).toMatchObject({ id: event.id, topic: expect.any(String) })
      }
      await expectInLog(events)
    },
  )

  it('sends Latin-1 in headers, and others UTF-8: either is kept', async () => {
    const [type] = types
    if (type === undefined) throw new Error('no type')
    const { source = '', traceparent: _, ...attributes } = attributesOf(type, `Zoë-${randomUUID()}`)
    const event = new CloudEvent({ ...attributes, source, tenant: 'Straße', data: type.example.data })
    const emit = emitterFor(httpTransport(`${face.url}/api/events`), { mode: Mode.BINARY })
    expect(JSON.parse(((await emit(event)) as { body: string }).body)).toMatchObject({ id: event.id })

    const other = event.cloneWith({ id: `Zoë-😀-${randomUUID()}` })
    const { headers, body } = HTTP.binary(other)
    const bytes = Object.entries(headers).map(([name, value]) => [
      name,
      Buffer.from(String(value)).toString('latin1'),
    ])
    expectAccepted(await sent({ headers: Object.fromEntries(bytes) as Message['headers'], body }), other.id)
    await expectInLog([event, other])
  })

  it('an attribute of no name that there is, is refused and not left out', async () => {
    const [type] = types
    const headers = { 'content-type': 'application/json', 'ce-type': String(type?.type), 'ce-__proto__': 'x' }
    const answer = await sent({ headers, body: JSON.stringify(type?.example.data) })
    expect(answer).toMatchObject({ status: 422, body: { code: 'unknown_field', field: '/__proto__' } })
  })

  it('a batch that it takes for one itself is accepted and kept', async () => {
    const events = made()
    const batch = {
      headers: { 'content-type': 'application/cloudevents-batch+json; charset=utf-8' },
      body: JSON.stringify(events),
    }
    expect(HTTP.toEvent(batch)).toEqual(events)
    expect(await sent(batch)).toEqual({
      status: 202,
      body: { accepted: events.length, rejected: 0, errors: [] },
    })
    await expectInLog(events)
  })

  it('reads a record of the log as an event, by its own Kafka binding', async () => {
    const [type] = types
    if (type === undefined) throw new Error('no type')
    const { traceparent, dataschema: _, datacontenttype: __, subject, ...attributes } = attributesOf(type)
    const event = new CloudEvent({ ...attributesOf(type, attributes.id), data: type.example.data })
    expectAccepted(await sent(HTTP.structured(event)), event.id)

    const record = (await logWith([event.id])).get(event.id)
    const read = Kafka.toEvent<Buffer>({ ...messageOf(record), body: undefined }) as CloudEvent<Buffer>

    const { partitionkey: _key, ...kept } = attributes
    expect(read).toMatchObject({
      ...kept,
      dataschema: `embudo:${type.type}/${type.version}`,
      datacontenttype: 'application/avro',
    })
    expect(read.validate()).toBe(true)
    expect([record?.key, record?.headers.traceparent]).toEqual([subject, traceparent])
  })
})

const version = await pythonVersion()

describe.skipIf(version === undefined)('the Python SDK', () => {
  let python: string
  beforeAll(async () => {
    python = await pythonWithPackages(version ?? '')
  }, 600_000)

  const send = async (sends: readonly object[]): Promise<Answer[]> => {
    const child = spawn(python, [join(import.meta.dirname, 'send_events.py')])
    child.stdin.end(JSON.stringify({ url: `${face.url}/api/events`, sends }))
    const { status, stdout, stderr } = await finished(child)
    expect(status, stderr).toBe(0)
    return JSON.parse(stdout) as Answer[]
  }

  describe.each(['v2', 'v1'])('by its interface of %s', (api) => {
    it.each(['binary', 'structured'])('in %s mode is accepted and kept', async (mode) => {
      const events = types.map((type) => ({ ...attributesOf(type), data: type.example.data }))
      const answers = await send(events.map(({ data, ...attributes }) => ({ api, mode, attributes, data })))
      for (const [n, { id }] of events.entries()) expectAccepted(answers[n], id)
      await expectInLog(events)
    })
  })

  it('percent-encodes what no header can carry, and it is kept', async () => {
    const [type] = types
    if (type === undefined) throw new Error('no type')
    const attributes = {
      ...attributesOf(type, `Ünïcode "100%" 😀 ${randomUUID()}`),
      tenant: 'Straße "7" %41',
    }
    const { data } = type.example
    expectAccepted((await send([{ api: 'v2', mode: 'binary', attributes, data }]))[0], attributes.id)
    await expectInLog([{ ...attributes, data }])
  })
})

interface Answer {
  readonly status: number
  readonly body: unknown
}

const sent = async ({ headers, body }: Message): Promise<Answer> => {
  const response = await fetch(`${face.url}/api/events`, {
    method: 'POST',
    headers: headers as Record<string, string>,
    body: body as string,
  })
  return { status: response.status, body: await response.json() }
}

const expectAccepted = (answer: Answer | undefined, id: string): void => {
  expect(answer).toMatchObject({ status: 202, body: { id } })
}

/** Read until those are there: sagas append meanwhile, and a reading ends after as many records as there were. */
const logWith = async (ids: readonly string[]): Promise<Map<string, LogRecord>> =>
  await vi.waitFor(
    async () => {
      const records = await log()
      expect(ids.filter((id) => !records.has(id))).toEqual([])
      return records
    },
    { timeout: 200_000, interval: 100 },
  )

const log = async (): Promise<Map<string, LogRecord>> => {
  const { kafkaBrokers: kafka, registryUrl: registry } = inject('parts')
  const topics = [...new Set(types.map(({ topic }) => topic))]
  return new Map((await readLog({ kafka, registry }, topics)).map((record) => [record.id, record]))
}

/** Attributes as headers of CloudEvents' Kafka binding, the data by its schema. */
const expectInLog = async (events: readonly Readonly<Record<string, unknown>>[]): Promise<void> => {
  const records = await logWith(events.map(({ id }) => String(id)))
  for (const { data, subject, datacontenttype: _, dataschema: __, traceparent, ...attributes } of events) {
    const record = records.get(String(attributes.id))
    const type = types.find((one) => one.type === attributes.type)
    const defined = Object.entries(attributes).filter(([, value]) => value !== undefined)
    expect(record?.headers).toEqual({
      ...Object.fromEntries(defined.map(([name, value]) => [`ce_${name}`, String(value)])),
      ...{
        traceparent,
        ce_dataschema: `embudo:${type?.type}/${type?.version}`,
        'content-type': 'application/avro',
      },
    })
    expect(record?.key).toBe(subject)
    expect(record?.topic).toBe(type?.topic)
    expect(plain(record?.data)).toEqual(plain(data as Record<string, unknown>))
  }
}

/** Amounts in units of 10^-4 and days as texts; the examples have no finer ones. */
const plain = (data: Readonly<Record<string, unknown>> | undefined) =>
  Object.fromEntries(
    Object.entries(data ?? {}).map(([name, value]) => {
      if (typeof value === 'bigint') return [name, (Number(value) / 10_000).toFixed(2)]
      if (name === 'day' && typeof value === 'number')
        return [name, new Date(value * 86_400_000).toISOString().slice(0, 10)]
      return [name, value]
    }),
  )

const messageOf = (record: LogRecord | undefined) => ({
  key: record?.key ?? '',
  value: Buffer.from('Avro'),
  headers: { ...record?.headers },
  timestamp: undefined,
})
