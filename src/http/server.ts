import http from 'node:http'
import type { Express } from 'express'

export interface HttpServerParts {
  /** POST /api/events, in front of Express: what Express does for a request costs more than taking an event. */
  readonly ingest?: (request: http.IncomingMessage, response: http.ServerResponse) => void
  readonly app: Express
}

export interface HttpServer {
  readonly server: http.Server
  /** True from the beginning of `drain` on. */
  readonly isDraining: () => boolean
  /** Takes no new connections, finishes what has begun, and cuts off what is not done within `graceMs`. */
  drain(graceMs: number): Promise<void>
}

export const createHttpServer = ({ ingest, app }: HttpServerParts): HttpServer => {
  let isDraining = false
  const server = http.createServer(
    {
      maxHeaderSize: 16 * 1024,
      headersTimeout: 20_000,
      // A stream of NDJSON may take hours; `timeout` below ends a connection on which nothing moves.
      requestTimeout: 0,
      keepAliveTimeout: 65_000,
      connectionsCheckingInterval: 5_000,
    },
    (request, response) => {
      if (isDraining) response.setHeader('connection', 'close')
      if (ingest !== undefined && request.method === 'POST' && isIngest(request.url!))
        ingest(request, response)
      else app(request, response)
    },
  )
  server.timeout = 120_000
  server.on('clientError', answerClientError)

  return {
    server,
    isDraining: () => isDraining,
    drain: (graceMs) => {
      isDraining = true
      return new Promise((resolve) => {
        // A connection that goes idle after the close would otherwise stay for its keep-alive time.
        const sweep = setInterval(() => server.closeIdleConnections(), 50)
        const cutOff = setTimeout(() => server.closeAllConnections(), graceMs)
        server.close(() => {
          clearInterval(sweep)
          clearTimeout(cutOff)
          resolve()
        })
        server.closeIdleConnections()
      })
    },
  }
}

const path = '/api/events'

const isIngest = (url: string): boolean => url === path || (url.startsWith(path) && url[path.length] === '?')

/** What never became a request still gets an answer that programs can read. */
const answerClientError = (error: NodeJS.ErrnoException, socket: import('node:stream').Duplex): void => {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
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
    detail: title,
    retriable: status === 408,
  })
  socket.end(
    `HTTP/1.1 ${status} ${title}\r\ncontent-type: application/problem+json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  )
}
