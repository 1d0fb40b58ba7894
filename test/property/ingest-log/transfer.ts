import http from 'node:http'
import net from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'

export interface Received {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly body: Record<string, unknown>
}

const agent = new http.Agent({ keepAlive: true, maxSockets: 4 })

export const closeConnections = (): void => agent.destroy()

/** POST /api/events with the body in pieces, each its own write. */
export const post = async (
  url: string,
  headers: Readonly<Record<string, string>>,
  pieces: readonly Buffer[],
  isChunked: boolean,
): Promise<Received> => {
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0)
  const request = http.request(`${url}/api/events`, {
    ...{ method: 'POST', agent },
    headers: {
      ...headers,
      ...(isChunked ? { 'transfer-encoding': 'chunked' } : { 'content-length': length }),
    },
  })
  request.setNoDelay(true)
  const received = new Promise<Received>((resolve, reject) => {
    request.on('error', reject)
    request.on('response', (response) => {
      const parts: Buffer[] = []
      response.on('error', reject)
      response.on('data', (part: Buffer) => parts.push(part))
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: parsed(Buffer.concat(parts)),
        }),
      )
    })
  })
  for (const piece of pieces) {
    request.write(piece)
    if (pieces.length > 1) await turn()
  }
  request.end()
  return received
}

/** A piece for each place that is named, the rest in one. */
export const cutAt = (bytes: Buffer, places: readonly number[]): Buffer[] => {
  const sorted = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b)
  return [0, ...sorted]
    .map((from, n) => bytes.subarray(from, sorted[n] ?? bytes.length))
    .filter((piece) => piece.length > 0)
}

/** Requests one behind the other on one connection, before any is answered. */
export const pipeline = async (
  port: number,
  pieces: readonly Buffer[],
  answers: number,
): Promise<Received[]> => {
  const socket = net.connect({ port, host: '127.0.0.1', noDelay: true })
  let text = Buffer.alloc(0)
  const received: Received[] = []
  const done = Promise.withResolvers<void>()
  socket.on('error', done.reject)
  socket.on('close', () => done.reject(new Error(`closed after ${received.length} of ${answers} answers`)))
  socket.on('data', (part: Buffer) => {
    text = Buffer.concat([text, part])
    for (let answer = first(text); answer !== undefined; answer = first(text)) {
      received.push(answer.received)
      text = text.subarray(answer.end)
    }
    if (received.length >= answers) done.resolve()
  })
  for (const piece of pieces) {
    socket.write(piece)
    await turn()
  }
  const tooLong = setTimeout(
    () => done.reject(new Error(`${received.length} of ${answers} answers came`)),
    120_000,
  )
  try {
    await done.promise
  } finally {
    clearTimeout(tooLong)
    socket.destroy()
  }
  return received
}

const first = (bytes: Buffer): { received: Received; end: number } | undefined => {
  const at = bytes.indexOf('\r\n\r\n')
  if (at === -1) return undefined
  const [status = '', ...lines] = bytes.subarray(0, at).toString('latin1').split('\r\n')
  const headers = Object.fromEntries(
    lines.map((line) => [
      line.slice(0, line.indexOf(':')).toLowerCase(),
      line.slice(line.indexOf(':') + 1).trim(),
    ]),
  )
  const end = at + 4 + Number(headers['content-length'])
  if (bytes.length < end) return undefined
  return {
    received: { status: Number(status.split(' ')[1]), headers, body: parsed(bytes.subarray(at + 4, end)) },
    end,
  }
}

const parsed = (bytes: Buffer): Record<string, unknown> =>
  JSON.parse(bytes.toString('utf8')) as Record<string, unknown>
