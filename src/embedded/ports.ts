import { readFile, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { EmbudoError } from '../define/error.ts'

export type PortName = 'kafka' | 'kafkaController' | 'registry' | 'postgres' | 'clickhouse'
export type Ports = Partial<Record<PortName, number>>

/**
 * A loopback port for each name: the configured one, which must be free; else the one of the last start, if it
 * is still free, so that addresses stay the same; else any free one.
 */
export async function choosePorts(
  names: readonly PortName[],
  options: { dataDir: string; configured: Ports },
): Promise<Record<PortName, number>> {
  const file = join(options.dataDir, 'ports.json')
  const remembered = parse(await readFile(file, 'utf8').catch(() => '{}'))
  const chosen: Ports = { ...remembered }
  // All are held open until all are chosen, or two could be given the same one.
  const held: Server[] = []
  try {
    for (const name of names) {
      const configured = options.configured[name]
      const server =
        configured === undefined
          ? ((await listen(remembered[name] ?? 0)) ?? (await listen(0)))
          : await listen(configured)
      if (server === undefined) throw portTaken(name, configured)
      held.push(server)
      chosen[name] = portOf(server)
    }
  } finally {
    await Promise.all(held.map((server) => new Promise((resolve) => server.close(resolve))))
  }
  await writeFile(file, JSON.stringify(chosen))
  return chosen as Record<PortName, number>
}

function listen(port: number): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(undefined))
    server.listen({ host: '127.0.0.1', port, exclusive: true }, () => resolve(server))
  })
}

function portOf(server: Server): number {
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

function parse(content: string): Ports {
  try {
    const found: Record<string, unknown> = JSON.parse(content)
    return Object.fromEntries(Object.entries(found).filter(([, port]) => isPort(port)))
  } catch {
    return {}
  }
}

const isPort = (value: unknown) => Number.isInteger(value) && Number(value) > 0 && Number(value) < 65536

const portTaken = (name: PortName, port: number | undefined) =>
  new EmbudoError(
    'port_taken',
    `Port ${port} on 127.0.0.1, configured for ${name}, is taken. ` +
      `End what listens there (lsof -i :${port} or ss -ltnp shows it), or configure another port.`,
    { facts: { part: name, port } },
  )
