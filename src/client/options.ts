import { SendError, type SentEvent } from './error.ts'

/** As much of fetch as the client uses: the platform's own, or one that adds a token, a proxy, a trace. */
export type Fetch = (
  url: string,
  request: {
    readonly method: 'POST'
    readonly headers: Record<string, string>
    readonly body: string
    readonly keepalive: boolean
    readonly signal: AbortSignal
  },
) => Promise<{
  readonly status: number
  readonly headers: { get(name: string): string | null }
  text(): Promise<string>
}>

/** As much of `localStorage` as the client uses. */
export interface Store {
  getItem(key: string): string | null
  setItem(key: string, value: string): void
  removeItem(key: string): void
}

export interface ClientOptions {
  /** Where embudo answers, for example `http://127.0.0.1:4000`; in a page `''` is the page's own origin. */
  readonly url: string
  /**
   * Who sends: a URI reference such as `web` or `https://shop.example/checkout`. The platform tells events apart by
   * source and id.
   */
  readonly source: string
  /** Every event that is given up comes by here, whether or not anybody waits for its `send`. */
  readonly onError?: ((error: SendError, event: SentEvent) => void) | undefined
  /** Sent with every request, for example an authorization. A function is asked before each one. */
  readonly headers?: Readonly<Record<string, string>> | (() => Readonly<Record<string, string>>) | undefined
  readonly fetch?: Fetch | undefined

  /** How long an event waits for others to go with it. Default: 100. */
  readonly lingerMs?: number | undefined
  /** At most 10,000. Default: 500. */
  readonly maxBatchEvents?: number | undefined
  /** Of a request's body; in a page at most 60,000. One event that is larger goes alone. Default: 262,144. */
  readonly maxBatchBytes?: number | undefined

  /** What waits or is on its way; beyond it `send` is refused with `queue_full`. Default: 10,000. */
  readonly maxQueuedEvents?: number | undefined
  /** Default: 8,388,608. */
  readonly maxQueuedBytes?: number | undefined

  /** How long an event may take from `send` to its answer, all attempts included. Default: 120,000. */
  readonly deliveryTimeoutMs?: number | undefined
  /** How long one request may take. Default: 30,000. */
  readonly requestTimeoutMs?: number | undefined
  /** The wait after a first failure; it doubles with each. Default: 200. */
  readonly minBackOffMs?: number | undefined
  /** Default: 10,000. */
  readonly maxBackOffMs?: number | undefined

  /**
   * Where a page that goes away leaves what is unsent, for the next one of the same source: `localStorage`. Default:
   * nowhere, since events hold personal data in plain text.
   */
  readonly store?: Store | undefined
  /** Of what is left there; the oldest stay. Default: 262,144. */
  readonly maxStoredCharacters?: number | undefined
}

export type Settings = {
  readonly [Name in keyof typeof defaults]: number
} & {
  readonly endpoint: string
  readonly source: string
  readonly fetch: Fetch
  readonly headers: () => Readonly<Record<string, string>>
  readonly onError: ((error: SendError, event: SentEvent) => void) | undefined
  readonly store: Store | undefined
}

const defaults = {
  lingerMs: 100,
  maxBatchEvents: 500,
  maxBatchBytes: 256 * 1024,
  maxQueuedEvents: 10_000,
  maxQueuedBytes: 8 * 1024 * 1024,
  deliveryTimeoutMs: 120_000,
  requestTimeoutMs: 30_000,
  minBackOffMs: 200,
  maxBackOffMs: 10_000,
  maxStoredCharacters: 256 * 1024,
}

/** The server lists at most so many errors of one array. */
const mostEventsOfArray = 10_000

/** Throws `bad_option`: a mistake here would otherwise show itself as events that are never accepted. */
export const settingsOf = (options: ClientOptions): Settings => {
  const numbers = { ...defaults }
  for (const name of Object.keys(defaults) as (keyof typeof defaults)[]) {
    const value = options[name] ?? defaults[name]
    const least = name === 'lingerMs' ? 0 : 1
    const most = name === 'maxBatchEvents' ? mostEventsOfArray : 2 ** 31 - 1
    if (!Number.isInteger(value) || value < least || value > most)
      throw badOption(`${name}: expected a whole number from ${least} to ${most}, got ${value}`)
    numbers[name] = value
  }
  if (typeof options.source !== 'string' || options.source === '')
    throw badOption('source: expected the name of the sender, for example web')
  const { headers = {}, fetch = globalThis.fetch } = options
  return {
    ...numbers,
    endpoint: endpointOf(options.url),
    source: options.source,
    // Called through an object, the browser's own fetch would refuse: it wants to be called as a function.
    fetch: (url, request) => fetch(url, request),
    headers: typeof headers === 'function' ? headers : () => headers,
    onError: options.onError,
    store: options.store,
  }
}

const endpointOf = (url: string): string => {
  const endpoint = `${url.replace(/\/+$/, '')}/api/events`
  // In a page a relative address is one from its own origin.
  const { location } = globalThis as { readonly location?: { readonly href: string } }
  try {
    new URL(endpoint, location?.href)
    return endpoint
  } catch {
    throw badOption(`url: expected an address such as http://127.0.0.1:4000, got ${JSON.stringify(url)}`)
  }
}

const badOption = (detail: string): SendError => new SendError('bad_option', detail)
