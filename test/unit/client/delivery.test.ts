import { describe, expect, it } from 'vitest'
import { SendError } from '../../../src/client/error.ts'
import { accepted, outcomes, type Sent, world } from './world.ts'

const click = (n = 0) => ({ leadId: 'L-1', n })

const numbers = (sent: Sent | undefined) => sent?.events.map(({ data }) => (data as { n: number }).n)

/** An answer with an error for some. */
const some = (sent: Sent, errors: Readonly<Record<number, object>>, more: object = {}) => ({
  status: 207,
  body: {
    accepted: sent.ids.length - Object.keys(errors).length,
    rejected: Object.keys(errors).length,
    errors: Object.entries(errors).map(([index, error]) => ({ index: Number(index), ...error })),
    ...more,
  },
})

const slowly = (sent: Sent) => ({ ...accepted(sent), afterMs: 500 })

const passing = { code: 'log_busy', field: '', detail: 'too much waits', retriable: true }

describe('what is sent', () => {
  it('goes together after lingering, in order, with ids and the time when it happened', async () => {
    const { client, pass, requests } = world()
    const embudo = client()
    const first = embudo.send('clicked', click(1))
    await pass(5)
    void embudo.send('clicked', click(2))
    await pass(4)
    expect(requests).toHaveLength(0)
    await pass(1)
    expect(numbers(requests[0])).toEqual([1, 2])
    const [one, two] = requests[0]?.events ?? []
    expect(one).toEqual({
      type: 'clicked',
      source: 'web',
      id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/),
      time: '2026-11-20T10:00:00.000Z',
      data: click(1),
    })
    expect(two?.time).toBe('2026-11-20T10:00:00.005Z')
    expect(await first).toEqual({ id: one?.id, position: 'embudo.leads:0:2' })
    expect(embudo.position).toBe('embudo.leads:0:2')
  })

  it('is what the data was when it was sent', async () => {
    const { client, pass, requests } = world()
    const data = { leadId: 'L-1', n: 1 }
    void client().send('clicked', data)
    data.n = 2
    await pass(10)
    expect(numbers(requests[0])).toEqual([1])
  })

  it('does not linger once a batch is full, and never holds more than one batch may', async () => {
    const { client, pass, requests } = world()
    const embudo = client({ maxBatchEvents: 3, lingerMs: 1_000 })
    for (const n of [1, 2, 3, 4]) void embudo.send('clicked', click(n))
    await pass(0)
    expect(requests.map(numbers)).toEqual([[1, 2, 3]])
    await pass(1_000)
    expect(requests.map(numbers)).toEqual([[1, 2, 3], [4]])
  })

  it('keeps to the bytes of a batch', async () => {
    const { client, pass, requests } = world()
    const embudo = client({ maxBatchBytes: 2_000 })
    for (let n = 0; n < 20; n++) void embudo.send('clicked', { leadId: 'L-1', text: 'ü'.repeat(100) })
    await pass(100)
    expect(requests.flatMap(({ ids }) => ids)).toHaveLength(20)
    for (const { bytes } of requests) expect(bytes).toBeLessThanOrEqual(2_000)
    expect(requests.length).toBeLessThan(10)
  })

  it('carries the headers that are asked for before each request', async () => {
    const { client, pass, requests } = world()
    let token = 1
    void client({ headers: () => ({ authorization: `Bearer ${token++}` }) }).send('clicked', click())
    await pass(10)
    expect(requests[0]?.headers).toEqual({
      authorization: 'Bearer 1',
      'content-type': 'application/json',
    })
  })

  it('is one request at a time', async () => {
    const { client, pass, requests } = world(slowly)
    const embudo = client()
    void embudo.send('clicked', click(1))
    await pass(100)
    void embudo.send('clicked', click(2))
    await pass(300)
    expect(requests.map(numbers)).toEqual([[1]])
    await pass(200)
    expect(requests.map(numbers)).toEqual([[1], [2]])
  })
})

describe('what fails and passes', () => {
  it.each([
    ['a lost connection', 'lost'],
    ['408', { status: 408 }],
    ['429', { status: 429 }],
    ['500', { status: 500 }],
    ['503', { status: 503, body: { code: 'log_unavailable', detail: 'no broker' } }],
    ['a page of somebody else', { status: 200, text: '<html>Log in to the hotel' }],
    ['an answer that does not add up', { status: 202, body: { accepted: 7, rejected: 0, errors: [] } }],
  ] as const)('%s is sent again with the same ids, in order, and nothing overtakes it', async (_, fault) => {
    const { client, pass, requests } = world((sent, before) => (before < 3 ? fault : accepted(sent)))
    const embudo = client({ maxBatchEvents: 2 })
    const sent = [1, 2, 3].map((n) => embudo.send('clicked', click(n)))
    await pass(5_000)
    expect(await outcomes(sent)).toEqual(['accepted', 'accepted', 'accepted'])
    expect(requests.map(numbers)).toEqual([[1, 2], [1, 2], [1, 2], [1, 2], [3]])
    expect(new Set(requests.slice(0, 4).map(({ ids }) => ids.join()))).toHaveProperty('size', 1)
    expect(new Set(requests.slice(0, 4).map(({ events }) => events[0]?.time))).toHaveProperty('size', 1)
  })

  it('is waited for twice as long each time, within bounds, and from the start again after a success', async () => {
    const { client, pass, requests } = world((sent, before) => (before === 6 ? accepted(sent) : 'lost'))
    const embudo = client({ lingerMs: 0, minBackOffMs: 100, maxBackOffMs: 1_000 })
    void embudo.send('clicked', click())
    await pass(10_000)
    const at = requests.map(({ atMs }) => atMs)
    const waits = at.slice(1, 7).map((ms, index) => ms - (at[index] ?? 0))
    for (const [index, most] of [100, 200, 400, 800, 1_000, 1_000].entries()) {
      expect(waits[index]).toBeGreaterThanOrEqual(most / 2)
      expect(waits[index]).toBeLessThanOrEqual(most)
    }
    void embudo.send('clicked', click())
    await pass(120)
    expect(requests.slice(7).map(({ atMs }) => atMs - 10_000)).toEqual([0, expect.closeTo(75, -2)])
  })

  it.each([
    ['seconds', { 'retry-after': '7' }],
    ['a date by the clock of this machine', { 'retry-after': 'Fri, 20 Nov 2026 10:00:07 GMT' }],
    [
      "a date by the server's own clock",
      { 'retry-after': 'Fri, 20 Nov 2026 03:00:07 GMT', date: 'Fri, 20 Nov 2026 03:00:00 GMT' },
    ],
  ])('waits as long as the server asks: %s', async (_, headers) => {
    const { client, pass, requests } = world((sent, before) =>
      before === 0 ? { status: 503, headers } : accepted(sent),
    )
    void client({ lingerMs: 0 }).send('clicked', click())
    await pass(6_999)
    expect(requests).toHaveLength(1)
    await pass(1)
    expect(requests).toHaveLength(2)
  })

  it('is not tried again and again where the server asks for no wait', async () => {
    const { client, pass, requests } = world(() => ({ status: 503, headers: { 'retry-after': '0' } }))
    void client({ lingerMs: 0 }).send('clicked', click())
    await pass(1_000)
    expect(requests.length).toBeLessThan(6)
  })

  it('a server that says nothing is asked again, and its late answer is not listened to', async () => {
    const { client, pass, requests } = world((sent, before) => (before === 0 ? 'silent' : accepted(sent)))
    const sent = client({ requestTimeoutMs: 1_000 }).send('clicked', click())
    await pass(2_000)
    expect(requests[0]?.wasAborted).toBe(true)
    expect(await outcomes([sent])).toEqual(['accepted'])
    expect(requests).toHaveLength(2)
  })
})

describe('an answer about each event', () => {
  it('settles what was taken and what was refused; the rest goes again before all else', async () => {
    const wrong = {
      code: 'wrong_type',
      field: '/data/n',
      detail: 'expected an integer, got "x"',
      retriable: false,
    }
    const { client, pass, requests } = world((sent, before) =>
      before === 0 ? some(sent, { 1: wrong, 2: passing, 4: passing }) : accepted(sent),
    )
    const embudo = client({ lingerMs: 0 })
    const sent = [0, 1, 2, 3, 4].map((n) => embudo.send('clicked', click(n)))
    await pass(0)
    void embudo.send('clicked', click(5))
    await pass(1_000)
    expect(await outcomes(sent)).toEqual(['accepted', 'wrong_type', 'accepted', 'accepted', 'accepted'])
    expect(requests.map(numbers)).toEqual([
      [0, 1, 2, 3, 4],
      [2, 4, 5],
    ])
    const error = await sent[1]?.catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(SendError)
    expect(error).toMatchObject({
      code: 'wrong_type',
      field: '/data/n',
      message: 'expected an integer, got "x"',
      retriable: false,
      mayHaveArrived: false,
    })
  })

  it('knows nothing of what stands behind the place where the server stopped', async () => {
    const { client, pass, requests } = world((sent, before) =>
      before === 0
        ? { status: 207, body: { accepted: 2, rejected: 0, errors: [], stoppedAt: 2 } }
        : accepted(sent),
    )
    const embudo = client()
    const sent = [0, 1, 2, 3].map((n) => embudo.send('clicked', click(n)))
    await pass(1_000)
    expect(await outcomes(sent)).toEqual(['accepted', 'accepted', 'accepted', 'accepted'])
    expect(requests.map(numbers)).toEqual([
      [0, 1, 2, 3],
      [2, 3],
    ])
  })

  it('422 for all is an answer about each as well', async () => {
    const { client, pass, requests } = world((sent) => ({
      ...some(sent, { 0: { code: 'missing_field', field: '/data/leadId', detail: 'expected text' } }),
      status: 422,
    }))
    const sent = client().send('clicked', click())
    await pass(10)
    expect(await outcomes([sent])).toEqual(['missing_field'])
    expect(requests).toHaveLength(1)
  })
})

describe('what does not pass', () => {
  it.each([
    [400, { code: 'malformed_json', detail: 'expected JSON' }, 'malformed_json'],
    [401, {}, 'status_401'],
    [404, { code: 'not_found', detail: 'no such route' }, 'not_found'],
    [415, { code: 'unsupported_content_type', detail: 'expected' }, 'unsupported_content_type'],
  ])('%d is final', async (status, body, code) => {
    const { client, pass, requests } = world(() => ({ status, body }))
    const embudo = client()
    const sent = [embudo.send('clicked', click(1)), embudo.send('clicked', click(2))]
    await pass(1_000)
    expect(await outcomes(sent)).toEqual([code, code])
    expect(requests).toHaveLength(1)
  })

  it('413 halves the batch, for good, and refuses what is too large by itself', async () => {
    const { client, pass, requests } = world((sent) =>
      sent.bytes > 700 ? { status: 413, text: '<html>413' } : accepted(sent),
    )
    const embudo = client()
    const sent = [1, 2, 3, 4, 5, 6, 7, 8].map((n) => embudo.send('clicked', click(n)))
    sent.push(embudo.send('clicked', { leadId: 'L-1', text: 'x'.repeat(800) }))
    await pass(1_000)
    expect(await outcomes(sent)).toEqual([...Array(8).fill('accepted'), 'body_too_large'])
    const taken = requests.filter(({ bytes }) => bytes <= 700)
    expect(taken.flatMap((request) => numbers(request))).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
    expect(taken.length).toBeLessThan(8)
  })

  it('gives up after the delivery timeout, and says what went wrong last', async () => {
    const errors: [SendError, unknown][] = []
    const { client, pass, requests, timers } = world(() => ({ status: 503, body: { detail: 'no broker' } }))
    const embudo = client({ deliveryTimeoutMs: 3_000, onError: (...heard) => errors.push(heard) })
    const sent = embudo.send('clicked', click(1))
    await pass(2_000)
    const later = embudo.send('clicked', click(2))
    await pass(999)
    expect(errors).toEqual([])
    await pass(1)
    const error = await sent.catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'delivery_timeout', retriable: true, mayHaveArrived: true })
    expect((error as Error).message).toBe('not accepted within 3000 ms: no broker')
    expect(errors.map(([, event]) => event)).toEqual([requests[0]?.events[0]])
    await pass(2_000)
    expect(await outcomes([later])).toEqual(['delivery_timeout'])
    expect(timers()).toBe(0)
  })

  it('a server that asks for an hour does not keep events past their time', async () => {
    const { client, pass } = world(() => ({ status: 429, headers: { 'retry-after': '3600' } }))
    const sent = client({ deliveryTimeoutMs: 3_000 }).send('clicked', click())
    await pass(3_000)
    expect(await sent.catch((error: SendError) => [error.code, error.mayHaveArrived])).toEqual([
      'delivery_timeout',
      false,
    ])
  })
})
