import { type ClickHouseClient, ClickHouseLogLevel, createClient } from '@clickhouse/client'
import pg from 'pg'
import type { RunFile } from '../../../src/run-file.ts'

/** SQL on a program's Postgres and ClickHouse, as any other client would. */
export class Stores implements AsyncDisposable {
  readonly #pool: pg.Pool
  readonly #clickhouse: ClickHouseClient

  constructor(run: Pick<RunFile, 'postgres' | 'clickhouse'>) {
    this.#pool = new pg.Pool({ connectionString: run.postgres, max: 4, application_name: 'whole-program' })
    this.#pool.on('error', () => {})
    const log = { level: ClickHouseLogLevel.OFF }
    this.#clickhouse = createClient({ url: run.clickhouse, request_timeout: 600_000, log })
  }

  async postgres<Row extends Record<string, unknown>>(sql: string, values: unknown[] = []): Promise<Row[]> {
    return (await this.#pool.query<Row>(sql, values)).rows
  }

  async clickhouse<Row>(query: string): Promise<Row[]> {
    const answer = await this.#clickhouse.query({ query, format: 'JSONEachRow' })
    return await answer.json<Row>()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#pool.end(), this.#clickhouse.close()])
  }
}
