import { createServer, type Server } from 'node:net'

/** Below 32,768, from where on Linux gives ports to connections. */
const first = 20_000
const count = 12_000

const given = new Set<number>()

/** Free ports of 127.0.0.1 that no connection is given while whoever listens there is away for a moment. */
export const lastingPorts = async (wanted: number): Promise<number[]> => {
  const held: Server[] = []
  const ports: number[] = []
  while (ports.length < wanted) {
    const port = first + Math.floor(Math.random() * count)
    if (given.has(port)) continue
    const server = await listen(port)
    if (server === undefined) continue
    given.add(port)
    held.push(server)
    ports.push(port)
  }
  await Promise.all(held.map((server) => new Promise((closed) => server.close(closed))))
  return ports
}

const listen = (port: number): Promise<Server | undefined> =>
  new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(undefined))
    server.listen({ host: '127.0.0.1', port, exclusive: true }, () => resolve(server))
  })
