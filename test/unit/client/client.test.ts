import { describe, expect, it } from 'vitest'
import { createClient, SendError } from '../../../src/client/client.ts'
import { accepted, outcomes, world } from './world.ts'

const click = (n = 0) => ({ leadId: 'L-1', n })

describe('a full queue', () => {
  it('refuses at once what it has no room for, and takes more when there is', async () => {
    const { client, pass } = world()
    const embudo = client({ maxQueuedEvents: 2 })
    const sent = [1, 2, 3].map((n) => embudo.send('clicked', click(n)))
    expect(embudo.pending).toBe(2)
    await pass(10)
    expect(await outcomes([...sent])).toEqual(['accepted', 'accepted', 'queue_full'])
    expect(await sent[2]?.catch((error: SendError) => error.retriable)).toBe(true)
    const another = embudo.send('clicked', click(4))
    await pass(10)
    expect(await outcomes([another])).toEqual(['accepted'])
  })

  it('counts bytes', async () => {
    const { client, pass } = world()
    const embudo = client({ maxQueuedBytes: 1_000 })
    const sent = [0, 1, 2].map(() => embudo.send('clicked', { leadId: 'L-1', text: 'x'.repeat(400) }))
    sent.push(embudo.send('clicked', { leadId: 'L-1', text: 'x'.repeat(1_000) }))
    await pass(10)
    expect(await outcomes(sent)).toEqual(['accepted', 'queue_full', 'queue_full', 'event_too_large'])
    const later = embudo.send('clicked', { leadId: 'L-1', text: 'x'.repeat(400) })
    await pass(10)
    expect(await outcomes([later])).toEqual(['accepted'])
  })

  it('never refuses producers that wait until it is ready, and does not linger while they do', async () => {
    const { client, pass, requests, elapsedMs } = world()
    const embudo = client({ maxQueuedEvents: 10, maxBatchEvents: 20, lingerMs: 60_000 })
    const results: Promise<unknown>[] = []
    const produce = async () => {
      for (let n = 0; n < 25; n++) {
        await embudo.ready()
        results.push(embudo.send('clicked', click(n)))
      }
    }
    const producers = Promise.all([produce(), produce(), produce(), produce()])
    await pass(0)
    await producers
    expect(elapsedMs()).toBe(0)
    await pass(60_000)
    expect(new Set(await outcomes(results))).toEqual(new Set(['accepted']))
    expect(requests.flatMap(({ ids }) => ids)).toHaveLength(100)
  })

  it('is ready again after promises of room that nobody used', async () => {
    const { client, pass } = world()
    const embudo = client({ maxQueuedEvents: 2 })
    const asked = (async () => {
      for (let n = 0; n < 10; n++) await embudo.ready()
    })()
    await pass(0)
    await asked
    void embudo.send('clicked', click())
    const again = embudo.ready()
    await pass(10)
    await again
  })
})

describe('flush', () => {
  it('sends without lingering and waits for all that was sent before, refused or not', async () => {
    const { client, pass, requests, settle } = world((sent, before) =>
      before === 0 ? 'lost' : accepted(sent),
    )
    const embudo = client({ lingerMs: 60_000 })
    let isDone = false
    void embudo.send('clicked', click())
    const flushed = embudo.flush().then(() => {
      isDone = true
    })
    await settle()
    expect(requests).toHaveLength(1)
    expect(isDone).toBe(false)
    await pass(1_000)
    await flushed
    expect(requests).toHaveLength(2)
    expect(embudo.pending).toBe(0)
  })

  it('of nothing is done', async () => {
    await world().client().flush()
  })
})

describe('close', () => {
  it('sends what is left, takes no more and leaves no timer', async () => {
    const { client, pass, requests, timers, listeners } = world(accepted, true)
    {
      await using embudo = client({ lingerMs: 60_000 })
      void embudo.send('clicked', click())
      const closed = embudo.close()
      const late = embudo.send('clicked', click())
      await expect(embudo.ready()).rejects.toMatchObject({ code: 'closed' })
      await closed
      expect(await outcomes([late])).toEqual(['closed'])
    }
    await pass(0)
    expect(requests).toHaveLength(1)
    expect([timers(), listeners.length]).toEqual([0, 0])
  })

  it('gives up what is not accepted in time', async () => {
    const { client, pass, requests } = world(() => 'silent')
    const embudo = client()
    const sent = embudo.send('clicked', click())
    await pass(10)
    const closed = embudo.close({ timeoutMs: 500 })
    await pass(500)
    await closed
    expect(await sent.catch((error: SendError) => [error.code, error.mayHaveArrived])).toEqual([
      'closed',
      true,
    ])
    expect(requests[0]?.wasAborted).toBe(true)
  })
})

describe('whoever does not wait', () => {
  it('hears of every event that was given up, once', async () => {
    const heard: unknown[] = []
    const { client, pass } = world(() => ({ status: 404, body: { code: 'not_found', detail: 'no' } }))
    const embudo = client({
      maxQueuedEvents: 1,
      onError: (error, event) => heard.push([error.code, event.data]),
    })
    void embudo.send('clicked', click(1))
    void embudo.send('clicked', click(2))
    await pass(10)
    expect(heard).toEqual([
      ['queue_full', click(2)],
      ['not_found', click(1)],
    ])
  })

  it('is told what cannot be JSON', async () => {
    const sent = world()
      .client()
      .send('clicked', { leadId: 'L-1', n: 1n as unknown as number })
    expect(await outcomes([sent])).toEqual(['not_json'])
  })
})

describe('an envelope', () => {
  it('may come from where the event has one', async () => {
    const { client, pass, requests } = world()
    const time = new Date('2026-11-19T08:00:00Z')
    void client().send('clicked', click(), { id: 'zoom-17', time, correlationId: 'c', causationId: 'd' })
    await pass(10)
    expect(requests[0]?.events[0]).toEqual({
      type: 'clicked',
      id: 'zoom-17',
      source: 'web',
      time: '2026-11-19T08:00:00.000Z',
      correlationid: 'c',
      causationid: 'd',
      data: click(),
    })
  })
})

describe('options', () => {
  const base = { url: 'http://127.0.0.1:4000', source: 'web' }
  it.each([
    [{ url: 'localhost' }, 'url'],
    [{ url: '' }, 'url'],
    [{ source: '' }, 'source'],
    [{ lingerMs: -1 }, 'lingerMs'],
    [{ maxBatchEvents: 10_001 }, 'maxBatchEvents'],
    [{ maxQueuedBytes: Number.NaN }, 'maxQueuedBytes'],
    [{ deliveryTimeoutMs: 1.5 }, 'deliveryTimeoutMs'],
  ])('%j is refused by name', (wrong, name) => {
    expect(() => createClient({ ...base, ...wrong })).toThrow(SendError)
    expect(() => createClient({ ...base, ...wrong })).toThrow(new RegExp(`^${name}: expected`))
  })
})
