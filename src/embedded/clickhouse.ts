import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createClient } from '@clickhouse/client'
import type { PartOptions, StartedPart } from './part.ts'
import { untilReady } from './readiness.ts'
import { startTethered } from './tethered-process.ts'

/** The ClickHouse engine (npm's chdb) in a process of its own, behind ClickHouse's HTTP interface. */
export async function startClickhouse(options: PartOptions): Promise<StartedPart> {
  const folder = join(options.dataDir, 'clickhouse')
  await mkdir(folder, { recursive: true })
  const server = join(import.meta.dirname, 'clickhouse-server.ts')
  const child = await startTethered({
    ...options,
    command: process.execPath,
    args: [
      server,
      '--port',
      String(options.ports.clickhouse),
      '--data',
      folder,
      '--password',
      options.password.file,
    ],
    cwd: folder,
    // Every query holds one thread of libuv's pool while it runs. With the default of four, four long queries
    // would hold up all others, the one that ends them included.
    environment: { ...options.environment, UV_THREADPOOL_SIZE: '64' },
  })
  await options.started(child)
  const address = `http://embudo:${options.password.text}@127.0.0.1:${options.ports.clickhouse}`
  await untilReady({ ...options, part: 'ClickHouse', process: child, ask: () => askForOne(address) })
  return { address, process: child }
}

async function askForOne(url: string): Promise<void> {
  const client = createClient({ url, request_timeout: 2000, log: { level: 127 } })
  try {
    await (await client.query({ query: 'SELECT 1', format: 'JSONEachRow' })).json()
  } finally {
    await client.close()
  }
}
