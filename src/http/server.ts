import http from 'node:http'
import type { Duplex } from 'node:stream'
import type { Express } from 'express'
import type { CrossOrigin } from './cors.ts'
import { boundRest, mayHaveBody } from './end-answer.ts'
import { problem, sendProblem } from './problem.ts'

export interface HttpServerParts {
  /** POST /api/events, in front of Express: what Express does for a request costs more than taking an event. */
  readonly ingest?: Handler | undefined
  readonly app: Express
  /** Answers browsers' questions before anything else; absent where no origin is allowed. */
  readonly crossOrigin?: CrossOrigin | undefined
  readonly limits?: Partial<HttpLimits>
  /** Connections that were closed as they came, since there are too many. */
  readonly onDropped?: (() => void) | undefined
  /** Halfway into the grace of a drain: what could go on for hours should come to an end, with an answer. */
  readonly onStopping?: (() => void) | undefined
}

export interface HttpLimits {
  readonly maxConnections: number
  /** From a connection's first byte, or the end of the request before, to the end of the head. */
  readonly headersTimeoutMs: number
  /** A connection on which nothing moves is ended. */
  readonly idleTimeoutMs: number
  /** How often heads that take too long are looked for. */
  readonly sweepMs: number
}

export const defaultHttpLimits: HttpLimits = {
  maxConnections: 2_048,
  headersTimeoutMs: 20_000,
  idleTimeoutMs: 120_000,
  sweepMs: 5_000,
}

export interface HttpServer {
  readonly server: http.Server
  /** True from the beginning of `drain` on. */
  readonly isDraining: () => boolean
  /** Takes no new connections, finishes what has begun, and cuts off what is not done within `graceMs`. */
  drain(graceMs: number): Promise<void>
}

export const createHttpServer = (parts: HttpServerParts): HttpServer => {
  const limits = { ...defaultHttpLimits, ...parts.limits }
  let isDraining = false
  let drained: Promise<void> | undefined
  const route = router(parts)
  const handle: Handler = (request, response) => {
    if (isDraining) response.setHeader('connection', 'close')
    if (request.headers.host === undefined && request.httpVersion === '1.1')
      return sendProblem(response, problem(400, 'malformed_request', 'expected a Host header'))
    route(request, response)
  }
  const server = http.createServer(
    {
      maxHeaderSize: 16 * 1024,
      headersTimeout: limits.headersTimeoutMs,
      // A stream of NDJSON may take hours. Bodies have deadlines of their own, and `timeout` below ends a
      // connection on which nothing moves.
      requestTimeout: 0,
      // Refused below, with an answer that programs can read.
      requireHostHeader: false,
      keepAliveTimeout: 65_000,
      connectionsCheckingInterval: limits.sweepMs,
    },
    handle,
  )
  // Whoever wants the body says so (`invite`): a request that is refused is spared it.
  server.on('checkContinue', handle)
  server.on('checkExpectation', (request: http.IncomingMessage, response: http.ServerResponse) => {
    const detail = `expected 100-continue or no Expect header, got ${request.headers.expect}`
    sendProblem(response, problem(417, 'expectation_failed', detail))
  })
  // Who has said all that it has to say still reads (a server's own setting, which the types do not have).
  Object.assign(server, { httpAllowHalfOpen: true })
  server.timeout = limits.idleTimeoutMs
  server.maxConnections = limits.maxConnections
  server.on('drop', () => {
    // The next one may find a place that nobody uses.
    server.closeIdleConnections()
    parts.onDropped?.()
  })
  server.on('clientError', answerClientError)

  return {
    server,
    isDraining: () => isDraining,
    drain: (graceMs) => {
      isDraining = true
      drained ??= new Promise((resolve) => {
        // A connection that goes idle after the close would otherwise stay for its keep-alive time.
        const sweep = setInterval(() => server.closeIdleConnections(), 50)
        // One after the other: a process that stood still would do both at once, and nobody would get an answer.
        let ending = setTimeout(() => {
          parts.onStopping?.()
          ending = setTimeout(() => server.closeAllConnections(), graceMs / 2)
        }, graceMs / 2)
        server.close(() => {
          clearInterval(sweep)
          clearTimeout(ending)
          resolve()
        })
        server.closeIdleConnections()
      })
      return drained
    },
  }
}

type Handler = (request: http.IncomingMessage, response: http.ServerResponse) => void

const router = ({ ingest, app, crossOrigin }: HttpServerParts): Handler => {
  const route: Handler = (request, response) => {
    if (ingest !== undefined && request.method === 'POST' && isIngest(request.url!))
      return ingest(request, response)
    // Most routes read no body: one that comes all the same is not read for ever.
    if (mayHaveBody(request)) response.once('finish', () => boundRest(request))
    app(request, response)
  }
  if (crossOrigin === undefined) return route
  return (request, response) => crossOrigin(request, response, () => route(request, response))
}

const path = '/api/events'

const isIngest = (url: string): boolean =>
  url === path ||
  (url.startsWith(path) && url[path.length] === '?') ||
  (isAbsolute(url) && URL.canParse(url) && new URL(url).pathname === path)

/** As proxies write it; a server has to take it too (RFC 9112, 3.2.2). */
const isAbsolute = (url: string): boolean => url.startsWith('http')

/** What never became a request still gets an answer that programs can read. */
const answerClientError = (error: NodeJS.ErrnoException, socket: Duplex): void => {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  const current = (socket as { _httpMessage?: http.ServerResponse | null })._httpMessage
  // What is wrong came behind a whole request: an answer would be taken for the one to that, which may be accepted.
  if (current?.req.complete) return void current.once('close', () => socket.destroy())
  if (current?.headersSent) return void socket.destroy()
  const [status, title, code] =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? [431, 'Request Header Fields Too Large', 'headers_too_large']
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? [408, 'Request Timeout', 'request_timeout']
        : [400, 'Bad Request', 'malformed_request']
  const body = JSON.stringify({
    type: 'about:blank',
    title,
    status,
    code,
    detail: `${title}: the connection is closed. Of a body that broke off, the beginning may have been accepted.`,
    retriable: status === 408,
  })
  socket.end(
    `HTTP/1.1 ${status} ${title}\r\ncontent-type: application/problem+json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  )
  // What has begun and does not end: a sender that neither reads nor closes is not waited for.
  const patience = setTimeout(() => socket.destroy(), 2_000)
  socket.once('close', () => clearTimeout(patience))
}
