import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Client } from 'pg'
import { startRoleProcess } from '../../src/supervisor/role-process.ts'
import { workerNiceness } from '../../src/supervisor/several.ts'
import type { BenchParts } from './parts.ts'

export interface Serving extends AsyncDisposable {
  readonly address: string
  readonly pid: number
}

/** A process of the program, started as `embudo up` starts it. */
export const startProcess = async (name: 'http' | 'worker', parts: BenchParts): Promise<Serving> => {
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
      NODE_OPTIONS: '--max-semi-space-size=16',
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

/** What the program's tables in Postgres tell of its readers. */
export interface Progress extends AsyncDisposable {
  /**
   * How fast each of these readers goes through the topic's `records`: from its taking the first partition over
   * until the last commit, in its generations from this one on. To be called before they are started.
   */
  rates(
    readers: readonly string[],
    topic: string,
    records: number,
    generation?: number,
  ): Promise<Map<string, number>>
  /** From the beginning of a rebuild until its generation is live. */
  rebuildRate(projection: string, generation: number, records: number): Promise<number>
  /** As if the reader had never run: to see it catch up by itself. */
  forget(reader: string): Promise<void>
}

export const watchProgress = async (parts: BenchParts): Promise<Progress> => {
  const client = new Client({ connectionString: parts.addresses.databaseUrl })
  await client.connect()

  const standings = async (topic: string, generation: number) => {
    const { rows } = await client.query<{ reader: string | null; records: string; at: string }>(
      `select clock.at, reader, sum(next_offset) as records
       from (select extract(epoch from clock_timestamp()) * 1000 as at) as clock
       left join embudo.positions on topic = $1 and generation >= $2 group by 1, 2`,
      [topic, generation],
    )
    const records = new Map(rows.map(({ reader, records }) => [reader, Number(records)]))
    return { atMs: Number(rows[0]?.at), records }
  }

  return {
    async rates(readers, topic, records, generation = 1) {
      const rates = new Map<string, number>()
      const begunMs = new Map<string, number>()
      await until(
        async () => {
          const now = await standings(topic, generation)
          for (const reader of readers) {
            const read = now.records.get(reader)
            if (read === undefined || !begunMs.has(reader)) begunMs.set(reader, now.atMs)
            if (read !== undefined && read >= records && !rates.has(reader)) {
              rates.set(reader, (records / (now.atMs - begunMs.get(reader)!)) * 1000)
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
