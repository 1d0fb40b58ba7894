import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

export const PRODUCE = 0
export const FETCH = 1
const METADATA = 3
export const API_VERSIONS = 18

export type Verdict =
  | 'pass'
  /** What was asked is not passed on, and the connection is cut. */
  | 'cut before the broker'
  /** The broker has done it; its answer is not passed on, and the connection is cut. */
  | 'cut before the answer'
  /** The broker has done it; its answer never comes, and the connection stays. */
  | 'swallow the answer'
  /** The request waits in here until `deliverLate`, even if the client has gone by then. */
  | 'keep back'

export interface KafkaProxy extends AsyncDisposable {
  /** The address to give to the client. It is told of no other. */
  readonly address: string
  /** Asked for each request of one kind, counted from 1; with its bytes. */
  judge: (apiKey: number, nth: number, request: Buffer) => Verdict
  /** Passes on what was kept back, and waits until the broker has answered it. */
  deliverLate(): Promise<void>
  /** Resets every connection, in the middle of whatever goes through. */
  cut(): void
  /** How many requests of one kind there were. */
  count(apiKey: number): number
  /** How many answers were swallowed. */
  readonly swallowed: number
}

/**
 * Stands between a client and one broker and knows just enough of the protocol to lose chosen requests or
 * answers: each is a length, and then (api key, version, correlation id) or the correlation id alone.
 */
export const kafkaProxy = async (broker: string): Promise<KafkaProxy> => {
  const [host = '', port = ''] = broker.split(':')
  const counts = new Map<number, number>()
  let swallowed = 0
  const sockets = new Set<Socket>()
  const keptBack: Array<() => Promise<unknown>> = []
  const server = createServer((client) => {
    const upstream = connect({ host, port: Number(port) })
    const asked = new Map<number, { readonly apiKey: number; readonly verdict: Verdict }>()
    let isKeeping = false
    const cut = () => {
      client.destroy()
      if (!isKeeping) upstream.destroy()
    }
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', cut)
      socket.on('close', cut)
      socket.setNoDelay(true)
    }
    onFrame(client, (frame) => {
      const apiKey = frame.readInt16BE(4)
      const nth = (counts.get(apiKey) ?? 0) + 1
      counts.set(apiKey, nth)
      const verdict = proxy.judge(apiKey, nth, frame)
      asked.set(frame.readInt32BE(8), { apiKey, verdict })
      if (verdict === 'keep back') {
        isKeeping = true
        keptBack.push(() => {
          upstream.write(frame)
          return once(upstream, 'data')
        })
      } else if (verdict === 'cut before the broker') cut()
      else upstream.write(frame)
    })
    onFrame(upstream, (frame) => {
      const request = asked.get(frame.readInt32BE(4))
      if (request?.verdict === 'cut before the answer') cut()
      else if (request?.verdict === 'swallow the answer') swallowed++
      else client.write(request?.apiKey === METADATA ? withPort(frame, ownPort()) : frame)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const ownPort = () => (server.address() as AddressInfo).port
  const proxy: KafkaProxy = {
    address: `127.0.0.1:${ownPort()}`,
    judge: () => 'pass',
    deliverLate: async () => {
      await Promise.all(keptBack.splice(0).map((deliver) => deliver()))
    },
    cut: () => {
      for (const socket of sockets) socket.resetAndDestroy()
      sockets.clear()
    },
    count: (apiKey) => counts.get(apiKey) ?? 0,
    get swallowed() {
      return swallowed
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
  return proxy
}

const onFrame = (socket: Socket, handle: (frame: Buffer) => void): void => {
  let pending = Buffer.alloc(0)
  socket.on('data', (chunk) => {
    pending = Buffer.concat([pending, chunk])
    while (pending.length >= 4 && pending.length >= 4 + pending.readInt32BE(0)) {
      const end = 4 + pending.readInt32BE(0)
      const frame = pending.subarray(0, end)
      pending = pending.subarray(end)
      handle(frame)
    }
  })
}

// Brokers of a metadata answer, version 3 to 8: throttle time, then an array of (node id, host, port, rack).
const withPort = (frame: Buffer, port: number): Buffer => {
  let at = 16
  for (let left = frame.readInt32BE(12); left > 0; left--) {
    at += 4
    at += 2 + frame.readInt16BE(at)
    frame.writeInt32BE(port, at)
    at += 4
    at += 2 + Math.max(0, frame.readInt16BE(at))
  }
  return frame
}
