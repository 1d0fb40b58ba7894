import { type Client, type ClientOptions, createClient } from '../../../src/client/client.ts'
import type { PageListener } from '../../../src/client/page.ts'

export interface Sent {
  readonly ids: readonly string[]
  readonly events: readonly Readonly<Record<string, unknown>>[]
  readonly keepalive: boolean
  readonly bytes: number
  readonly headers: Readonly<Record<string, string>>
  /** On the world's clock. */
  readonly atMs: number
  wasAborted: boolean
}

/** What the network does with a request: an answer, a lost connection, or nothing until it is aborted. */
export type Reply = 'lost' | 'silent' | Answer

interface Answer {
  readonly status: number
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
  readonly text?: string
  readonly afterMs?: number
}

/** One event type is enough to tell the client's ways. */
export interface Clicks {
  clicked: { readonly leadId: string; readonly n?: number; readonly text?: string }
}

export const accepted = ({ ids }: Sent): Answer => ({
  status: 202,
  body: { accepted: ids.length, rejected: 0, errors: [] },
  headers: { 'embudo-position': `embudo.leads:0:${ids.length}` },
})

let worlds = 0

/** A network that answers by script, and a clock that only moves when it is told to. */
export const world = (script: (sent: Sent, before: number) => Reply = accepted, hasPage = false) => {
  let nowMs = Date.parse('2026-11-20T10:00:00Z')
  const begun = nowMs
  // Ids of two worlds differ, as those of two pages do.
  let seed = ++worlds
  let order = 0
  const timers = new Map<number, { readonly atMs: number; readonly call: () => void }>()
  const requests: Sent[] = []
  const listeners: PageListener[] = []
  let isHidden = false

  const after = (ms: number, call: () => void) => {
    const id = ++order
    timers.set(id, { atMs: nowMs + ms, call })
    return () => void timers.delete(id)
  }
  const random = () => {
    seed = (seed * 48_271) % 2_147_483_647
    return seed / 2_147_483_647
  }
  /** Everything that hangs on promises that are settled already. */
  const settle = () => new Promise<void>((resolve) => setImmediate(resolve))

  const fetch: NonNullable<ClientOptions['fetch']> = (_url, { body, keepalive, signal, headers }) => {
    const events = JSON.parse(body) as Record<string, unknown>[]
    const sent: Sent = {
      ids: events.map(({ id }) => String(id)),
      events,
      keepalive,
      bytes: Buffer.byteLength(body),
      headers,
      atMs: nowMs - begun,
      wasAborted: false,
    }
    const reply = script(sent, requests.length)
    requests.push(sent)
    return new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => {
        sent.wasAborted = true
        reject(new Error('aborted'))
      })
      if (reply === 'lost') return reject(new TypeError('fetch failed'))
      if (reply === 'silent') return
      const text = reply.text ?? JSON.stringify(reply.body ?? {})
      const response = {
        status: reply.status,
        headers: new Headers({ ...reply.headers }),
        text: async () => text,
      }
      if (reply.afterMs === undefined) resolve(response)
      else after(reply.afterMs, () => resolve(response))
    })
  }

  const page = {
    isHidden: () => isHidden,
    listen: (listener: PageListener) => {
      listeners.push(listener)
      return () => void listeners.splice(listeners.indexOf(listener), 1)
    },
  }

  return {
    requests,
    listeners,
    elapsedMs: () => nowMs - begun,
    timers: () => timers.size,
    client: (options: Partial<ClientOptions> = {}): Client<Clicks> =>
      createClient<Clicks>(
        { url: 'http://embudo.test', source: 'web', fetch, lingerMs: 10, ...options },
        {
          now: () => nowMs,
          elapsed: () => nowMs,
          after,
          random,
          randomBytes: (count) => Uint8Array.from({ length: count }, () => Math.floor(random() * 256)),
          page: hasPage ? page : undefined,
        },
      ),
    settle,
    /** Lets the clock go on, timer by timer. */
    async pass(ms: number) {
      await settle()
      const until = nowMs + ms
      for (;;) {
        const next = [...timers].toSorted(([, a], [, b]) => a.atMs - b.atMs)[0]
        if (next === undefined || next[1].atMs > until) break
        timers.delete(next[0])
        nowMs = Math.max(nowMs, next[1].atMs)
        next[1].call()
        await settle()
      }
      nowMs = until
    },
    hide() {
      isHidden = true
      for (const listener of [...listeners]) listener.hidden()
    },
    leave() {
      for (const listener of [...listeners]) listener.leaving()
    },
    show() {
      isHidden = false
      for (const listener of [...listeners]) listener.back()
    },
    goOnline() {
      for (const listener of [...listeners]) listener.online()
    },
  }
}

/** The outcome of each promise, in words. */
export const outcomes = async (promises: readonly Promise<unknown>[]): Promise<string[]> =>
  (await Promise.allSettled(promises)).map((result) =>
    result.status === 'fulfilled' ? 'accepted' : (result.reason as { code: string }).code,
  )
