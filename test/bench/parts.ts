import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from '@clickhouse/client'
import { Client } from 'pg'
import type { Environment } from '../../src/embedded/java.ts'
import { type EmbeddedAddresses, startEmbedded } from '../../src/embedded/start.ts'
import { workerNiceness } from '../../src/supervisor/several.ts'

/** Kafka, a registry, Postgres and ClickHouse, with a topic prefix and databases that nobody else uses. */
export interface BenchParts extends AsyncDisposable {
  readonly addresses: EmbeddedAddresses
  readonly prefix: string
  /** What the program's processes inherit. */
  readonly environment: Environment
  /** For logs and whatever else a process of the program keeps. */
  readonly dataDir: string
  /** The processes of the parts that the bench has started: none where they ran already. */
  readonly pids: Readonly<Record<string, number>>
  /** Makes ClickHouse's database again, empty. */
  emptyClickhouse(): Promise<void>
}

/** Those of `EMBUDO_TEST_PARTS`, as `test/parts-run.ts` prints them; or embedded ones that end with the bench. */
export const startParts = async (
  environment: Environment,
  progress: (text: string) => void,
): Promise<BenchParts> => {
  await using stack = new AsyncDisposableStack()
  const dataDir = await mkdtemp(join(tmpdir(), 'embudo-bench-'))
  stack.defer(() => rm(dataDir, { recursive: true, force: true }))
  const { addresses: given, pids } = await runningParts(environment, stack, dataDir, progress)

  const name = `bench_${randomBytes(4).toString('hex')}`
  const postgres = new Client({ connectionString: given.databaseUrl })
  await postgres.connect()
  stack.defer(() => postgres.end())
  await postgres.query(`create database ${name}`)
  stack.defer(async () => void (await postgres.query(`drop database ${name} with (force)`)))

  const clickhouse = createClient({ url: given.clickhouseUrl })
  stack.defer(() => clickhouse.close())
  const emptyClickhouse = async (): Promise<void> => {
    await clickhouse.command({ query: `drop database if exists ${name}` })
    await clickhouse.command({ query: `create database ${name}` })
  }
  await emptyClickhouse()
  stack.defer(async () => void (await clickhouse.command({ query: `drop database ${name}` })))

  const addresses = {
    ...given,
    databaseUrl: withPath(given.databaseUrl, name),
    clickhouseUrl: withPath(given.clickhouseUrl, name),
  }
  const toEnd = stack.move()
  return {
    addresses,
    prefix: `${name}.`,
    environment,
    dataDir,
    pids,
    emptyClickhouse,
    [Symbol.asyncDispose]: () => toEnd.disposeAsync(),
  }
}

const runningParts = async (
  environment: Environment,
  stack: AsyncDisposableStack,
  dataDir: string,
  progress: (text: string) => void,
): Promise<{ readonly addresses: EmbeddedAddresses; readonly pids: Readonly<Record<string, number>> }> => {
  if (environment.EMBUDO_TEST_PARTS) {
    return { addresses: JSON.parse(environment.EMBUDO_TEST_PARTS) as EmbeddedAddresses, pids: {} }
  }
  const { addresses, pids } = stack.use(
    await startEmbedded({
      dataDir: join(dataDir, 'parts'),
      parts: new Set(['kafka', 'registry', 'postgres', 'clickhouse']),
      storeNiceness: workerNiceness,
      progress: ({ part, what }) => progress(`${part}: ${what}`),
    }),
  )
  return {
    addresses: addresses as EmbeddedAddresses,
    pids: Object.fromEntries(Object.entries(pids).map(([part, its]) => [part, its.at(-1)!])),
  }
}

const withPath = (address: string, path: string): string => {
  const url = new URL(address)
  url.pathname = path
  return url.href
}
