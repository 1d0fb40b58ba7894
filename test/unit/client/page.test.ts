import { describe, expect, it } from 'vitest'
import { pageOf } from '../../../src/client/page.ts'
import { accepted, outcomes, type Sent, world } from './world.ts'

const click = (n = 0, text?: string) => ({ leadId: 'L-1', n, ...(text === undefined ? {} : { text }) })

const numbers = (sent: Sent | undefined) => sent?.events.map(({ data }) => (data as { n: number }).n)

describe('a page that is hidden', () => {
  it('sends what lingers at once, by a request that outlives it', async () => {
    const { client, hide, requests, settle } = world(accepted, true)
    const embudo = client({ lingerMs: 60_000 })
    const sent = embudo.send('clicked', click(1))
    hide()
    // In the same turn: after it there may be no page.
    expect(requests.map(numbers)).toEqual([[1]])
    expect(requests[0]?.keepalive).toBe(true)
    await settle()
    expect(await outcomes([sent])).toEqual(['accepted'])
  })

  it('sends the one on its way again, with what came behind it, in one request', async () => {
    const { client, hide, pass, requests } = world(
      (sent, before) => (before === 0 ? 'silent' : { ...accepted(sent), afterMs: 800 }),
      true,
    )
    const embudo = client()
    const sent = [embudo.send('clicked', click(1))]
    await pass(10)
    sent.push(embudo.send('clicked', click(2)))
    hide()
    expect(requests.map(numbers)).toEqual([[1], [1, 2]])
    expect(requests.map(({ keepalive }) => keepalive)).toEqual([false, true])
    expect(requests[0]?.wasAborted).toBe(true)
    await pass(1_000)
    expect(await outcomes(sent)).toEqual(['accepted', 'accepted'])
    expect(requests).toHaveLength(2)
  })

  it('does not send twice when it is hidden and then leaves', async () => {
    const { client, hide, leave, requests } = world(() => 'silent', true)
    void client().send('clicked', click())
    hide()
    leave()
    expect(requests).toHaveLength(1)
  })

  it('sends what others say while it leaves', async () => {
    const { client, leave, requests, settle } = world(accepted, true)
    const embudo = client({ lingerMs: 60_000 })
    leave()
    void embudo.send('clicked', click(1))
    await settle()
    expect(requests.map(numbers)).toEqual([[1]])
    expect(requests[0]?.keepalive).toBe(true)
  })

  it('does not wait for a back-off or a Retry-After: there may be no later', async () => {
    const { client, hide, pass, requests } = world(
      (sent, before) => (before === 0 ? { status: 503, headers: { 'retry-after': '60' } } : accepted(sent)),
      true,
    )
    void client().send('clicked', click())
    await pass(10)
    hide()
    expect(requests).toHaveLength(2)
  })

  it('stays below what browsers let a page have of such requests, piece after piece', async () => {
    const { client, hide, pass, requests } = world(accepted, true)
    const embudo = client()
    const sent = Array.from({ length: 40 }, (_, n) => embudo.send('clicked', click(n, 'x'.repeat(4_000))))
    hide()
    await pass(1_000)
    expect(new Set(await outcomes(sent))).toEqual(new Set(['accepted']))
    expect(requests.flatMap((request) => numbers(request))).toEqual(sent.map((_, n) => n))
    for (const { bytes, keepalive } of requests) expect([bytes <= 60_000, keepalive]).toEqual([true, true])
    expect(requests).toHaveLength(3)
  })

  it('tries smaller pieces where others of the page have used that up', async () => {
    const { client, hide, pass, requests, elapsedMs } = world(
      (sent) => (sent.keepalive && sent.bytes > 20_000 ? 'lost' : accepted(sent)),
      true,
    )
    const embudo = client()
    const sent = Array.from({ length: 10 }, (_, n) => embudo.send('clicked', click(n, 'x'.repeat(4_000))))
    hide()
    await pass(0)
    expect(new Set(await outcomes(sent))).toEqual(new Set(['accepted']))
    expect(requests.filter(({ bytes }) => bytes > 20_000).length).toBeLessThan(3)
    expect(elapsedMs()).toBe(0)
  })

  it('backs off from a server that is there and has no time, also after a smaller piece', async () => {
    const { client, hide, pass, requests } = world(
      (_, before) => (before === 0 ? 'lost' : { status: 503 }),
      true,
    )
    const embudo = client()
    for (let n = 0; n < 10; n++) void embudo.send('clicked', click(n, 'x'.repeat(4_000)))
    hide()
    await pass(1_000)
    expect(requests.length).toBeGreaterThan(2)
    expect(requests.length).toBeLessThan(8)
  })

  it('backs off when nothing gets through', async () => {
    const { client, hide, pass, requests } = world(() => 'lost', true)
    void client().send('clicked', click())
    hide()
    await pass(1_000)
    expect(requests.length).toBeLessThan(6)
  })

  it('lingers again when it is seen again', async () => {
    const { client, hide, pass, requests, show } = world(accepted, true)
    const embudo = client()
    hide()
    show()
    void embudo.send('clicked', click(1))
    await pass(9)
    expect(requests).toHaveLength(0)
    await pass(1)
    expect(requests[0]?.keepalive).toBe(false)
  })

  it('tries at once when the connection is back', async () => {
    const { client, goOnline, pass, requests } = world(
      (sent, before) => (before === 0 ? 'lost' : accepted(sent)),
      true,
    )
    void client({ minBackOffMs: 5_000 }).send('clicked', click())
    await pass(10)
    goOnline()
    expect(requests).toHaveLength(2)
  })
})

describe('listening to a page', () => {
  it('hears what a window says, and ends', () => {
    const document = Object.assign(new EventTarget(), { visibilityState: 'visible' })
    const window = Object.assign(new EventTarget(), { document })
    const heard: string[] = []
    const stop = pageOf(window)?.listen({
      hidden: () => heard.push('hidden'),
      leaving: () => heard.push('leaving'),
      back: () => heard.push('back'),
      online: () => heard.push('online'),
    })
    const say = () => {
      document.visibilityState = 'hidden'
      document.dispatchEvent(new Event('visibilitychange'))
      for (const type of ['pagehide', 'pageshow', 'online']) window.dispatchEvent(new Event(type))
    }
    say()
    expect(heard).toEqual(['hidden', 'leaving', 'back', 'online'])
    stop?.()
    say()
    expect(heard).toHaveLength(4)
  })

  it('finds none in Node', () => {
    expect(pageOf(globalThis)).toBeUndefined()
  })
})
