import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'

/**
 * Writes an answer and ends it, whatever is left of the request's body: a little of it is read and thrown away and
 * the connection stays; of more only a bounded part, and the connection is closed once its sender has closed it or
 * has had time to read the answer.
 */
export const endAnswer = (
  response: ServerResponse,
  status: number,
  headers: OutgoingHttpHeaders,
  body: string | Buffer,
): void => {
  const { req: request } = response
  if (request.complete) {
    response.writeHead(status, headers)
    response.end(body)
  } else if (isLittleLeft(request)) {
    response.writeHead(status, headers)
    response.end(body)
    boundRest(request)
  } else {
    response.writeHead(status, { ...headers, connection: 'close' })
    response.write(body)
    discard(request, () => response.end())
  }
}

/** What Node itself reads and throws away behind an answer has to come soon, or the connection ends. */
export const boundRest = (request: IncomingMessage): void => {
  // What came in one piece with the head has been read by then.
  process.nextTick(() => {
    if (request.complete) return
    const { socket } = request
    const tooLate = setTimeout(() => {
      if (!request.complete) socket.destroy()
    }, patienceMs)
    tooLate.unref()
    request.once('end', () => clearTimeout(tooLate))
  })
}

export const mayHaveBody = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0'

const littleBytes = 64 * 1024
const discardedBytes = 1024 * 1024
const patienceMs = 2_000

const isLittleLeft = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] === undefined &&
  headers.expect === undefined &&
  Number(headers['content-length'] ?? 0) <= littleBytes

const discard = (request: IncomingMessage, done: () => void): void => {
  let left = discardedBytes
  const onData = (chunk: Buffer) => {
    left -= chunk.length
    // The rest stays with its sender, who has time to read the answer: it would be lost in a reset.
    if (left < 0) request.pause()
  }
  const stop = () => {
    clearTimeout(patience)
    request.off('data', onData).off('end', stop).off('close', stop).pause()
    done()
  }
  const patience = setTimeout(stop, patienceMs)
  request.unpipe()
  request
    .on('data', onData)
    .once('end', stop)
    .once('close', stop)
    // Of a client that goes away meanwhile.
    .on('error', () => {})
    .resume()
}
