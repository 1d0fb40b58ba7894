import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import type { ClickHouseClient } from '@clickhouse/client'
import avro from 'avsc'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { clickhouseClient } from '../../clickhouse-client.ts'
import { until } from '../../processes.ts'
import { type Hosted, started } from './hosted.ts'

let dataDir = ''
let run: Hosted
let client: ClickHouseClient

async function start() {
  run = await started(dataDir, 'clickhouse')
  client = clickhouseClient({ url: run.addresses.clickhouseUrl, log: { level: 127 } })
}
beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'embudo-clickhouse-'))
  await start()
})
afterAll(async () => {
  await client.close()
  await run.stop()
  await rm(dataDir, { recursive: true, force: true })
})

const rowsOf = async (query: string, query_params: Record<string, unknown> = {}) =>
  (await client.query({ query, query_params, format: 'JSONEachRow' })).json<Record<string, unknown>>()
const createTable = (table: string) =>
  client.command({
    query: `CREATE TABLE ${table} (a UInt32, s String DEFAULT 'none', twice UInt32 DEFAULT a * 2)
      ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 100`,
  })
const sink = async (table: string, epoch: number, rows: Row[], settings = {}) => {
  const { stream } = await client.exec({
    query: `INSERT INTO ${table} (a, s) SELECT a, s FROM input('a UInt32, s String')
      WHERE (SELECT 7) <= {epoch:UInt64} FORMAT Avro`,
    values: container(rows),
    query_params: { epoch },
    clickhouse_settings: { async_insert: 0, ...settings },
  })
  // Until its answer is read, the client's connection is not free for the next request.
  stream.resume()
}

describe("ClickHouse's client on the embedded engine", () => {
  it('inserts text and Avro, with the defaults of the table', async () => {
    await createTable('formats')
    await client.insert({ table: 'formats', values: [{ a: 1, s: "x';\n" }, { a: 2 }], format: 'JSONEachRow' })
    await client.insert({
      table: 'formats',
      values: Readable.from(['3,"c"\n'], { objectMode: false }),
      columns: ['a', 's'],
      format: 'CSV',
    })
    const { summary, stream } = await client.exec({
      query: 'INSERT INTO formats (a, s) FORMAT Avro',
      values: container([{ a: 4, s: 'd\0;' }]),
    })
    stream.resume()
    expect(summary?.written_rows).toBe('1')
    await client.command({ query: "INSERT INTO formats (a, s) VALUES (5, 'e'), (6, 'f;')" })
    expect(await rowsOf('SELECT * FROM formats ORDER BY a')).toEqual([
      { a: 1, s: "x';\n", twice: 2 },
      { a: 2, s: 'none', twice: 4 },
      { a: 3, s: 'c', twice: 6 },
      { a: 4, s: 'd\0;', twice: 8 },
      { a: 5, s: 'e', twice: 10 },
      { a: 6, s: 'f;', twice: 12 },
    ])
  })

  it("takes the sink's insert: a query over Avro, under a condition, with a token", async () => {
    await createTable('fenced')
    await sink('fenced', 6, [{ a: 1, s: 'late' }])
    await sink('fenced', 7, [{ a: 2, s: 'kept' }], { insert_deduplication_token: 'two' })
    await sink('fenced', 7, [{ a: 2, s: 'again' }], { insert_deduplication_token: 'two' })
    expect(await rowsOf('SELECT a, s FROM fenced')).toEqual([{ a: 2, s: 'kept' }])
  })

  it('writes an insert as one block', async () => {
    await createTable('one_block')
    await sink(
      'one_block',
      7,
      Array.from({ length: 100_000 }, (_, a) => ({ a, s: `row ${a}` })),
    )
    const parts = await rowsOf(`SELECT rows, level FROM system.parts WHERE table = 'one_block' AND active`)
    expect(parts).toEqual([{ rows: 100_000, level: 0 }])
  })

  it('binds parameters and keeps settings to their query', async () => {
    const values = { s: "it's\ta\\b\nc", list: [1, 2], none: null }
    const query = 'SELECT {s:String} s, {list:Array(UInt8)} list, {none:Nullable(String)} none'
    expect(await rowsOf(query, values)).toEqual([values])
    const threads = `SELECT getSetting('max_threads') AS threads`
    const one = await client.query({
      query: threads,
      format: 'JSONEachRow',
      clickhouse_settings: { max_threads: 1 },
    })
    expect(await one.json()).toEqual([{ threads: 1 }])
    expect(await rowsOf(threads)).not.toEqual([{ threads: 1 }])
  })

  it("gives ClickHouse's errors", async () => {
    await expect(rowsOf('SELECT * FROM nowhere')).rejects.toMatchObject({ code: '60', type: 'UNKNOWN_TABLE' })
    await expect(rowsOf('SELEC 1')).rejects.toMatchObject({ code: '62', type: 'SYNTAX_ERROR' })
    const stranger = clickhouseClient({ url: withPassword('wrong'), log: { level: 127 } })
    await expect(stranger.query({ query: 'SELECT 1' })).rejects.toMatchObject({ code: '516' })
    await stranger.close()
  })

  it('answers while a long query runs, shows it under its id and ends it', async () => {
    const query = 'SELECT sum(sipHash64(number)) FROM numbers(1000000000000)'
    const long = client.query({ query, query_id: 'long-1', format: 'JSONEachRow' })
    const ended = expect(long).rejects.toMatchObject({ type: 'QUERY_WAS_CANCELLED' })
    const running = () => rowsOf("SELECT query_id FROM system.processes WHERE query_id LIKE 'long-%'")
    await until('it runs', async () => (await running()).length === 1)
    await client.command({ query: "KILL QUERY WHERE query_id = 'long-1' SYNC" })
    expect(await running()).toEqual([])
    await ended
  })

  it('ends a query whose reader has left', async () => {
    const reader = new AbortController()
    const query = 'SELECT sum(sipHash64(number)) FROM numbers(1000000000000)'
    const left = client.query({ query, query_id: 'left-1', abort_signal: reader.signal }).catch(() => {})
    const running = () => rowsOf("SELECT query_id FROM system.processes WHERE query_id = 'left-1'")
    await until('it runs', async () => (await running()).length === 1)
    reader.abort()
    await left
    await until('it runs no more', async () => (await running()).length === 0)
  })

  it('keeps every acknowledged insert through kill -9', async () => {
    await createTable('acknowledged')
    const acknowledged = new Set<number>()
    const inserting = (async () => {
      for (let a = 0; ; a += 1) {
        await sink('acknowledged', 7, [{ a, s: 'x' }])
        acknowledged.add(a)
      }
    })().catch(() => {})
    await until('some are acknowledged', () => acknowledged.size >= 50)
    process.kill(run.pids.clickhouse?.[1] ?? 0, 'SIGKILL')
    await inserting
    await client.close()
    await run.stop()

    await start()
    const found = (await rowsOf('SELECT a FROM acknowledged')).map((row) => Number(row.a))
    expect(new Set(found).size).toBe(found.length)
    expect([...acknowledged].filter((a) => !found.includes(a))).toEqual([])
  })
})

interface Row {
  a: number
  s: string
}

/** An Avro container of one block, uncompressed. */
function container(rows: Row[]): Readable {
  const fields = [
    { name: 'a', type: 'int' },
    { name: 's', type: 'string' },
  ]
  const encoder = new avro.streams.BlockEncoder(
    avro.Type.forSchema({ type: 'record', name: 'Row', fields } as avro.Schema),
    { blockSize: 64 * 1024 * 1024 },
  )
  for (const row of rows) encoder.write(row)
  encoder.end()
  return encoder.pipe(new PassThrough())
}

function withPassword(password: string): string {
  const url = new URL(run.addresses.clickhouseUrl)
  url.password = password
  return url.href
}
