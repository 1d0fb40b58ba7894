import { describe, expect, it } from 'vitest'
import type { Store } from '../../../src/client/client.ts'
import { accepted, outcomes, world } from './world.ts'

const click = (n = 0) => ({ leadId: 'L-1', n })
const key = 'embudo.unsent.web'

/** A localStorage with a quota. */
const storeOf = (quota = 1_000_000) => {
  const items = new Map<string, string>()
  const store: Store = {
    getItem: (name) => items.get(name) ?? null,
    setItem: (name, value) => {
      if (value.length > quota) throw new Error('QuotaExceededError')
      items.set(name, value)
    },
    removeItem: (name) => void items.delete(name),
  }
  return { store, items, left: () => JSON.parse(items.get(key) ?? '[]') as { data: { n: number } }[] }
}

/** A page that went away while nobody answered. */
const gone = (store: Store, sent: readonly number[], options: object = {}) => {
  const page = world(() => 'lost', true)
  const embudo = page.client({ store, ...options })
  for (const n of sent) void embudo.send('clicked', click(n))
  page.hide()
  page.leave()
  return page
}

describe('what a page leaves behind', () => {
  it('is sent by the next one, before its own, with the same ids, and then forgotten', async () => {
    const { store, items } = storeOf()
    const before = gone(store, [1, 2])
    const { client, pass, requests } = world(accepted, true)
    const embudo = client({ store })
    void embudo.send('clicked', click(3))
    await pass(10)
    expect(requests.flatMap(({ events }) => events.map(({ data }) => data))).toEqual([1, 2, 3].map(click))
    expect(requests[0]?.ids.slice(0, 2)).toEqual(before.requests.at(-1)?.ids)
    expect(items.size).toBe(0)
  })

  it('is nothing where all was accepted, and nothing at all where no store was given', async () => {
    const { store, items } = storeOf()
    const { client, hide, pass } = world(accepted, true)
    void client({ store }).send('clicked', click())
    hide()
    expect(items.size).toBe(1)
    await pass(0)
    expect(items.size).toBe(0)
  })

  it('of two pages is kept together', async () => {
    const { store, left } = storeOf()
    const other = world(() => 'lost', true)
    void other.client({ store }).send('clicked', click(2))
    gone(store, [1])
    other.leave()
    expect(left().map(({ data }) => data.n)).toEqual([1, 2])
  })

  it('is bounded, and the oldest stay', () => {
    const { store, left, items } = storeOf()
    gone(store, [1, 2, 3, 4, 5, 6, 7, 8], { maxStoredCharacters: 500 })
    expect(items.get(key)?.length).toBeLessThanOrEqual(500)
    expect(left().map(({ data }) => data.n)).toEqual([1, 2, 3])
  })

  it('is lost where the store is full, and nothing else is', async () => {
    const { store } = storeOf(10)
    const { client, hide, pass } = world(accepted, true)
    const sent = client({ store }).send('clicked', click())
    hide()
    await pass(0)
    expect(await outcomes([sent])).toEqual(['accepted'])
  })

  it('may have been spoilt by somebody else', async () => {
    const { store, items } = storeOf()
    for (const text of ['{', '{}', '[1, null]', '"x"']) {
      items.set(key, text)
      const { client, pass } = world()
      const sent = client({ store }).send('clicked', click())
      await pass(10)
      expect(await outcomes([sent])).toEqual(['accepted'])
    }
  })

  it('is reported where it is refused in the end', async () => {
    const { store, items } = storeOf()
    gone(store, [1])
    const heard: unknown[] = []
    const { client, pass } = world(() => ({ status: 400, body: { code: 'malformed_json', detail: '' } }))
    client({ store, onError: ({ code }, { data }) => heard.push([code, data]) })
    await pass(10)
    expect(heard).toEqual([['malformed_json', click(1)]])
    expect(items.size).toBe(0)
  })
})
