import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { startRoleProcess } from '../../src/supervisor/role-process.ts'
import { workerNiceness } from '../../src/supervisor/several.ts'
import type { BenchParts } from './parts.ts'

export interface Serving extends AsyncDisposable {
  readonly address: string
  readonly pid: number
}

export interface StartOptions {
  readonly nodeOptions?: string
  /** At once, long before it is ready. */
  readonly onForked?: (process: { readonly pid: number; readonly logFile: string }) => void
}

/** A process of the program, started as `embudo up` starts it. */
export const startProcess = async (
  name: 'http' | 'worker',
  parts: BenchParts,
  { nodeOptions = '', onForked }: StartOptions = {},
): Promise<Serving> => {
  mkdirSync(parts.dataDir, { recursive: true })
  const { addresses, prefix, dataDir } = parts
  const logFile = join(dataDir, `${name}.log`)
  const { promise: stopped, reject } = Promise.withResolvers<never>()
  stopped.catch(() => {})
  let pid = 0
  const role = startRoleProcess({
    name,
    roles: name === 'http' ? ['ingest', 'query'] : ['project', 'saga'],
    main: join(import.meta.dirname, '../../src/main.ts'),
    env: {
      ...parts.environment,
      EMBUDO_TEST_PARTS: undefined,
      // As bin/embudo has it.
      MALLOC_ARENA_MAX: '2',
      MALLOC_MMAP_THRESHOLD_: '131072',
      NODE_OPTIONS: `--max-semi-space-size=16 ${nodeOptions}`,
      KAFKA_BROKERS: addresses.kafkaBrokers,
      SCHEMA_REGISTRY_URL: addresses.registryUrl,
      DATABASE_URL: addresses.databaseUrl,
      CLICKHOUSE_URL: addresses.clickhouseUrl,
      EMBUDO_TOPIC_PREFIX: prefix,
      EMBUDO_DATA_DIR: dataDir,
      EMBUDO_PORT: '0',
    },
    logFile,
    ...(name === 'worker' ? { niceness: workerNiceness } : {}),
    onForked: ({ pid }) => pid !== undefined && onForked?.({ pid, logFile }),
    onNotice: () => {},
    onRestart: (why) =>
      reject(new Error(`${name} ended (${why}): ${readFileSync(logFile, 'utf8').slice(-2_000)}`)),
    onStarted: (started) => {
      pid = started.pid
    },
  })
  try {
    const address = await Promise.race([role.ready, stopped])
    return { address, pid, [Symbol.asyncDispose]: () => role[Symbol.asyncDispose]() }
  } catch (error) {
    await role[Symbol.asyncDispose]()
    throw error
  }
}
