import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Client } from 'pg'
import { startRoleProcess } from '../../src/supervisor/role-process.ts'
import type { BenchParts } from './parts.ts'

export interface Serving extends AsyncDisposable {
  readonly address: string
}

/** A process of the program, started as `embudo up` starts it. */
export const startProcess = async (name: 'http' | 'worker', parts: BenchParts): Promise<Serving> => {
  mkdirSync(parts.dataDir, { recursive: true })
  const { addresses, prefix, dataDir } = parts
  const logFile = join(dataDir, `${name}.log`)
  const { promise: stopped, reject } = Promise.withResolvers<never>()
  stopped.catch(() => {})
  const role = startRoleProcess({
    name,
    roles: name === 'http' ? ['ingest', 'query'] : ['project', 'saga'],
    main: join(import.meta.dirname, '../../src/main.ts'),
    env: {
      ...parts.environment,
      EMBUDO_TEST_PARTS: undefined,
      KAFKA_BROKERS: addresses.kafkaBrokers,
      SCHEMA_REGISTRY_URL: addresses.registryUrl,
      DATABASE_URL: addresses.databaseUrl,
      CLICKHOUSE_URL: addresses.clickhouseUrl,
      EMBUDO_TOPIC_PREFIX: prefix,
      EMBUDO_DATA_DIR: dataDir,
      EMBUDO_PORT: '0',
    },
    logFile,
    onNotice: () => {},
    onRestart: (why) =>
      reject(new Error(`${name} ended (${why}): ${readFileSync(logFile, 'utf8').slice(-2_000)}`)),
    onStarted: () => {},
  })
  try {
    const address = await Promise.race([role.ready, stopped])
    return { address, [Symbol.asyncDispose]: () => role[Symbol.asyncDispose]() }
  } catch (error) {
    await role[Symbol.asyncDispose]()
    throw error
  }
}

/** What the program's tables in Postgres tell of its readers. */
export interface Progress extends AsyncDisposable {
  /** How fast each of these readers took its partitions from where it began to `records`, as they all ran. */
  rates(readers: readonly string[], topic: string, records: number): Promise<Map<string, number>>
  /** From the beginning of a rebuild until its generation is live. */
  rebuildRate(projection: string, generation: number, records: number): Promise<number>
  /** As if the reader had never run: to see it catch up by itself. */
  forget(reader: string): Promise<void>
}

export const watchProgress = async (parts: BenchParts): Promise<Progress> => {
  const client = new Client({ connectionString: parts.addresses.databaseUrl })
  await client.connect()

  const standings = async (topic: string): Promise<Map<string, { records: number; at: number }>> => {
    const { rows } = await client.query<{ reader: string; records: string; at: string }>(
      `select reader, sum(next_offset) as records, extract(epoch from max(moved_at)) * 1000 as at
       from embudo.positions where topic = $1 group by reader`,
      [topic],
    )
    return new Map(
      rows.map(({ reader, records, at }) => [reader, { records: Number(records), at: Number(at) }]),
    )
  }

  return {
    async rates(readers, topic, records) {
      const rates = new Map<string, number>()
      const begun = new Map<string, number>()
      await until(
        async () => {
          const now = await standings(topic)
          for (const reader of readers) {
            const standing = now.get(reader)
            if (standing === undefined) continue
            // A position's first row is made as the partition is taken over.
            if (!begun.has(reader)) begun.set(reader, standing.records === 0 ? standing.at : Date.now())
            if (standing.records >= records && !rates.has(reader)) {
              rates.set(reader, (records / (standing.at - begun.get(reader)!)) * 1000)
            }
          }
          return rates.size === readers.length
        },
        `${readers.join(', ')} to reach ${records} records of ${topic}`,
      )
      return rates
    },

    async rebuildRate(projection, generation, records) {
      let seconds = 0
      await until(async () => {
        const { rows } = await client.query<{ seconds: string | null }>(
          `select extract(epoch from live_at - created_at) as seconds from embudo.generations
           where projection = $1 and generation = $2 and state = 'live'`,
          [projection, generation],
        )
        seconds = Number(rows[0]?.seconds ?? 0)
        return seconds > 0
      }, `generation ${generation} of ${projection} to be live`)
      return records / seconds
    },

    async forget(reader) {
      await client.query('delete from embudo.positions where reader = $1', [reader])
      const { rows } = await client.query<{ name: string }>(
        `select format('%I.%I', schemaname, tablename) as name from pg_tables
         where schemaname = 'embudo' and tablename ~ ('^' || $1 || '_[0-9]+$')`,
        [reader],
      )
      for (const { name } of rows) await client.query(`truncate ${name}`)
    },

    [Symbol.asyncDispose]: () => client.end(),
  }
}

const patienceMs = 180_000

const until = async (isTrue: () => Promise<boolean>, what: string): Promise<void> => {
  const deadline = Date.now() + patienceMs
  while (!(await isTrue())) {
    if (Date.now() > deadline) throw new Error(`waited ${patienceMs / 1000} s in vain for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
