import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Span, Tracing } from './span.ts'

type Handler = (request: IncomingMessage, response: ServerResponse) => void

export interface RequestSpans {
  /** The handler with a server span around each request, which continues the caller's trace. */
  around(route: string, handler: Handler): Handler
  /** What the request's records get as their header. */
  traceparentOf(request: IncomingMessage): string | undefined
}

/** For where tracing is enabled. Elsewhere handlers are used as they are: there is nothing to pay then. */
export const requestSpans = (tracing: Tracing): RequestSpans => {
  const spans = new WeakMap<IncomingMessage, Span>()
  return {
    around: (route, handler) => (request, response) => {
      const { traceparent } = request.headers
      const span = tracing.start(`${request.method} ${route}`, {
        kind: 'server',
        parent: typeof traceparent === 'string' ? traceparent : undefined,
        attributes: { 'http.request.method': request.method!, 'http.route': route },
      })
      spans.set(request, span)
      response.once('close', () => {
        const status = response.statusCode
        const cutOff = !response.writableFinished
        const failed = cutOff
          ? 'the connection ended before the answer'
          : status >= 500
            ? `status ${status}`
            : undefined
        span.end({ 'http.response.status_code': status }, failed)
      })
      handler(request, response)
    },
    traceparentOf: (request) => spans.get(request)?.traceparent,
  }
}
