import { once } from 'node:events'
import net from 'node:net'
import { until } from '../../processes.ts'

export interface RawAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** A socket that speaks HTTP byte by byte, well or badly. `from` is one of this machine's own addresses: a caller. */
export class RawClient implements Disposable {
  readonly socket: net.Socket
  #received = ''

  static async connect(port: number, from = '127.0.0.1'): Promise<RawClient> {
    const client = new RawClient(net.connect({ port, host: '127.0.0.1', localAddress: from }))
    await once(client.socket, 'connect')
    return client
  }

  private constructor(socket: net.Socket) {
    this.socket = socket
    socket.setNoDelay(true)
    socket.on('data', (data) => {
      this.#received += data.toString('latin1')
    })
    socket.on('error', () => {})
  }

  send(...pieces: (string | Buffer)[]): this {
    for (const piece of pieces) this.socket.write(piece)
    return this
  }

  /** What has come so far, interim answers (1xx) included. */
  get answers(): RawAnswer[] {
    const answers: RawAnswer[] = []
    for (let at = 0; at < this.#received.length; ) {
      const end = this.#received.indexOf('\r\n\r\n', at)
      if (end < 0) break
      const [first = '', ...lines] = this.#received.slice(at, end).split('\r\n')
      const headers = Object.fromEntries(
        lines.map((line) => [
          line.slice(0, line.indexOf(':')).toLowerCase(),
          line.slice(line.indexOf(':') + 1).trim(),
        ]),
      )
      const length = Number(headers['content-length'] ?? 0)
      if (this.#received.length < end + 4 + length) break
      const body = this.#received.slice(end + 4, end + 4 + length)
      answers.push({ status: Number(first.split(' ')[1]), headers, body })
      at = end + 4 + length
    }
    return answers
  }

  async answer(nth = 1): Promise<RawAnswer> {
    await until(`answer ${nth} has come`, async () => this.answers.length >= nth)
    return this.answers[nth - 1]!
  }

  /** The server has ended the connection. */
  async closed(): Promise<void> {
    await until('the connection has ended', async () => this.socket.readableEnded || this.socket.destroyed)
  }

  [Symbol.dispose](): void {
    this.socket.destroy()
  }
}

export const post = (
  body: string | Buffer,
  headers: Record<string, string | number> = {},
  path = '/api/events',
) =>
  Buffer.concat([
    Buffer.from(head({ 'content-length': Buffer.byteLength(body), ...headers }, path)),
    Buffer.from(body),
  ])

export const head = (headers: Record<string, string | number> = {}, path = '/api/events') => {
  const lines = Object.entries({ host: 'x', 'content-type': 'application/json', ...headers })
  return `POST ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`
}

export const chunk = (data: string | Buffer) =>
  Buffer.concat([
    Buffer.from(`${Buffer.byteLength(data).toString(16)}\r\n`),
    Buffer.from(data),
    Buffer.from('\r\n'),
  ])
