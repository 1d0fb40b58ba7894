import { EmbudoError, messageOf } from '../define/error.ts'
import type { CommandContext } from './context.ts'
import { parsedJson } from './parsed-json.ts'

/** The running program, over HTTP. */
export interface Server {
  readonly get: (path: string, query?: Readonly<Record<string, string | undefined>>) => Promise<unknown>
  /** `body` is sent as JSON. */
  readonly post: (path: string, body?: unknown, patienceMs?: number) => Promise<unknown>
}

const patienceMs = 30_000

/** Throws `not_running` where nothing answers, and what a problem document says with its own code. */
export const serverAt = (context: CommandContext, url: string | undefined): Server => {
  const ask = async (
    method: string,
    path: string,
    query: Readonly<Record<string, string | undefined>> = {},
    json?: unknown,
    waitMs = patienceMs,
  ) => {
    const base = context.baseUrl(url)
    const address = new URL(`${base}${path}`)
    for (const [name, value] of Object.entries(query))
      if (value !== undefined) address.searchParams.set(name, value)
    const signal = AbortSignal.any([context.signal, AbortSignal.timeout(waitMs)])
    const accept = { accept: 'application/json' }
    const sent =
      json === undefined
        ? { headers: accept }
        : { headers: { ...accept, 'content-type': 'application/json' }, body: JSON.stringify(json) }
    let response: Response
    try {
      response = await context.fetch(address, { method, signal, ...sent })
    } catch (cause) {
      if (context.signal.aborted) throw new EmbudoError('interrupted', 'interrupted', { cause })
      throw notRunning(base, cause)
    }
    const answer = parsedJson(await response.text())
    if (response.ok) return answer
    throw refusal(response, answer, `${method} ${address.pathname}`)
  }
  return {
    get: (path, query) => ask('GET', path, query),
    post: (path, body, waitMs) => ask('POST', path, {}, body, waitMs),
  }
}

export const notRunning = (base: string, cause: unknown): EmbudoError =>
  new EmbudoError(
    'not_running',
    `no embudo answers at ${base} (${reasonOf(cause)}); start it with \`make up\`, or say where it is with --url`,
    { facts: { url: base }, retriable: true, cause },
  )

/** fetch hides the reason in its cause. */
export const reasonOf = (error: unknown): string => {
  const cause = error instanceof Error ? error.cause : undefined
  if (cause instanceof Error) return 'code' in cause ? String(cause.code) : messageOf(cause)
  return messageOf(error)
}

const refusal = (response: Response, body: unknown, what: string): EmbudoError => {
  const { code, detail, retriable } = (typeof body === 'object' && body !== null ? body : {}) as {
    code?: unknown
    detail?: unknown
    retriable?: unknown
  }
  return new EmbudoError(
    typeof code === 'string' ? code : 'unexpected_answer',
    typeof detail === 'string'
      ? detail
      : `${what} was answered with status ${response.status}; is that an embudo?`,
    { facts: { status: response.status }, retriable: retriable === true || response.status >= 502 },
  )
}
