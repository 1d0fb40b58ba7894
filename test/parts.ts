import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { env } from 'node:process'
import type { TestProject } from 'vitest/node'
import { type EmbeddedAddresses, startEmbedded } from '../src/embedded/start.ts'

declare module 'vitest' {
  interface ProvidedContext {
    parts: EmbeddedAddresses
  }
}

/**
 * Kafka, registry, Postgres and ClickHouse once for a whole run; tests get the addresses with `inject('parts')`.
 * `EMBUDO_TEST_PARTS`, the line that `node test/parts-run.ts` prints, makes a run use those that run already.
 */
export default async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  const { EMBUDO_TEST_PARTS: running } = env
  if (running) {
    project.provide('parts', complete(JSON.parse(running)))
    return undefined
  }
  const dataDir = await mkdtemp(join(tmpdir(), 'embudo-parts-'))
  const parts = await startEmbedded({
    dataDir,
    parts: new Set(['kafka', 'registry', 'postgres', 'clickhouse']),
    progress: ({ part, what }) => process.stderr.write(`${part}: ${what}\n`),
  })
  project.provide('parts', complete(parts.addresses))
  return async () => {
    await parts[Symbol.asyncDispose]()
    await rm(dataDir, { recursive: true, force: true })
  }
}

function complete(addresses: Partial<EmbeddedAddresses>): EmbeddedAddresses {
  const { kafkaBrokers, registryUrl, databaseUrl, clickhouseUrl } = addresses
  if (!kafkaBrokers || !registryUrl || !databaseUrl || !clickhouseUrl) {
    throw new Error(
      'The tests need the addresses of all four parts: kafkaBrokers, registryUrl, databaseUrl, clickhouseUrl',
    )
  }
  return { kafkaBrokers, registryUrl, databaseUrl, clickhouseUrl }
}
