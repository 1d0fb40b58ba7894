import { Client } from 'pg'
import type { BenchParts } from './parts.ts'

/** What the program's tables in Postgres tell of its readers; instants in milliseconds, by Postgres's clock. */
export interface Progress extends AsyncDisposable {
  /** When one of the readers has taken its first partition of the topic over. */
  begun(readers: readonly string[], topic: string, generation?: number): Promise<number>
  /** When each has gone through as many records. Absent a generation: in the live ones. */
  reached(
    readers: readonly string[],
    topic: string,
    records: number,
    generation?: number,
  ): Promise<Map<string, number>>
  /** From the beginning of a rebuild until its generation is live. */
  liveAfterMs(projection: string, generation: number): Promise<number>
  /**
   * As if the reader had never run, to see it catch up by itself: its live tables are empty and the others gone. Only
   * while no process of the program feeds them.
   */
  forget(reader: string): Promise<void>
}

export const watchProgress = async (parts: BenchParts): Promise<Progress> => {
  const client = new Client({ connectionString: parts.addresses.databaseUrl })
  await client.connect()

  const standings = async (readers: readonly string[], topic: string, generation?: number) => {
    const { rows } = await client.query<{ reader: string | null; records: string; at: string }>(
      `select clock.at, reader, sum(next_offset) as records
       from (select extract(epoch from clock_timestamp()) * 1000 as at) as clock
       left join embudo.positions on topic = $1 and reader = any ($2) and generation = coalesce($3,
         (select generation from embudo.generations where projection = reader and state = 'live'), 1)
       group by 1, 2`,
      [topic, readers, generation],
    )
    const records = new Map(rows.map(({ reader, records }) => [reader, Number(records)]))
    return { atMs: Number(rows[0]?.at), records }
  }

  return {
    async begun(readers, topic, generation) {
      return await until(
        async () => {
          const { atMs, records } = await standings(readers, topic, generation)
          return readers.some((reader) => records.has(reader)) ? atMs : undefined
        },
        `${readers.join(', ')} to begin`,
      )
    },

    async reached(readers, topic, wanted, generation) {
      const reached = new Map<string, number>()
      return await until(
        async () => {
          const { atMs, records } = await standings(readers, topic, generation)
          for (const reader of readers) {
            if (!reached.has(reader) && (records.get(reader) ?? 0) >= wanted) reached.set(reader, atMs)
          }
          return reached.size === readers.length ? reached : undefined
        },
        `${readers.join(', ')} to reach ${wanted} records of ${topic}`,
      )
    },

    async liveAfterMs(projection, generation) {
      return await until(async () => {
        const { rows } = await client.query<{ milliseconds: string }>(
          `select extract(epoch from live_at - created_at) * 1000 as milliseconds from embudo.generations
           where projection = $1 and generation = $2 and state = 'live'`,
          [projection, generation],
        )
        return rows[0] && Number(rows[0].milliseconds)
      }, `generation ${generation} of ${projection} to be live`)
    },

    async forget(reader) {
      await client.query('delete from embudo.positions where reader = $1', [reader])
      await client.query(`delete from embudo.generations where projection = $1 and state <> 'live'`, [reader])
      const { rows } = await client.query<{ name: string; live: boolean }>(
        `select format('%I.%I', schemaname, tablename) as name, exists (
           select from embudo.generations where projection = $1 and tablename = projection || '_' || generation) as live
         from pg_tables where schemaname = 'embudo' and tablename ~ ('^' || $1 || '_[0-9]+$')`,
        [reader],
      )
      for (const { name, live } of rows) await client.query(`${live ? 'truncate' : 'drop table'} ${name}`)
    },

    [Symbol.asyncDispose]: () => client.end(),
  }
}

const patienceMs = 300_000

const until = async <Found>(find: () => Promise<Found | undefined>, what: string): Promise<Found> => {
  const deadline = Date.now() + patienceMs
  while (true) {
    const found = await find()
    if (found !== undefined) return found
    if (Date.now() > deadline) throw new Error(`waited ${patienceMs / 1000} s in vain for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
