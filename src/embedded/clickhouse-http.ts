import { randomUUID, timingSafeEqual } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { createGunzip, createInflate, createZstdDecompress, gzip } from 'node:zlib'
import type { Engine, Statement } from './clickhouse-engine.ts'
import { type InsertWithData, parseInsertWithData } from './clickhouse-insert.ts'

interface Server {
  engine: Engine
  inbox: string
  password: string
}

/** One request of ClickHouse's HTTP interface, as far as its client for Node uses it. */
export async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  server: Server,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://127.0.0.1')
  const queryId = url.searchParams.get('query_id') || randomUUID()
  response.setHeader('X-ClickHouse-Server-Display-Name', 'embudo')
  response.setHeader('X-ClickHouse-Query-Id', queryId)
  try {
    if (url.pathname === '/ping' || url.pathname === '/replicas_status') {
      response.end('Ok.\n')
      return
    }
    if (url.pathname !== '/') throw new HttpError(404, 'There is no handle for this path; queries go to /')
    if (!isAuthentic(request, url, server.password)) {
      throw new Error(
        'Code: 516. DB::Exception: Authentication failed: wrong password. (AUTHENTICATION_FAILED)',
      )
    }
    await runQuery(request, response, url, queryId, server)
  } catch (error) {
    fail(request, response, error, server.engine.version)
  }
}

async function runQuery(
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
  queryId: string,
  { engine, inbox }: Server,
): Promise<void> {
  const options = readOptions(url, queryId)
  const inboxFile = join(inbox, randomUUID())
  try {
    const { sql, insert } = await readStatement(request, url, inboxFile)
    response.once('close', () => {
      // The reader has left. An insert still runs to its end, as on a server.
      if (!response.writableFinished && !/^\s*INSERT\b/i.test(sql)) void engine.kill(queryId)
    })
    const result = await engine.run({ ...options, sql })
    const summary = {
      read_rows: String(result.rows),
      read_bytes: String(result.bytes),
      // Known only where what was read is what was written; a condition may have dropped rows of the others.
      ...(insert === 'rows'
        ? { written_rows: String(result.rows), written_bytes: String(result.bytes) }
        : {}),
      elapsed_ns: String(Math.round(result.elapsedSeconds * 1e9)),
    }
    response.setHeader('X-ClickHouse-Summary', JSON.stringify(summary))
    response.setHeader('X-ClickHouse-Format', formatOf(sql) ?? options.defaultFormat)
    response.setHeader('X-ClickHouse-Timezone', Intl.DateTimeFormat().resolvedOptions().timeZone)
    const wantsGzip = url.searchParams.get('enable_http_compression') === '1' && result.body.byteLength > 0
    if (wantsGzip && String(request.headers['accept-encoding'] ?? '').includes('gzip')) {
      response.setHeader('Content-Encoding', 'gzip')
      response.end(await promisify(gzip)(result.body, { level: 1 }))
    } else {
      response.end(result.body)
    }
  } finally {
    await rm(inboxFile, { force: true })
  }
}

/** The statement stands in the address, and then the body is its data, or it opens the body. */
async function readStatement(
  request: IncomingMessage,
  url: URL,
  inboxFile: string,
): Promise<{ sql: string; insert?: 'rows' | 'query' }> {
  const query = url.searchParams.get('query')
  if (query !== null) {
    const insert = parseInsertWithData(query)
    if (insert === undefined) {
      const rest = request.method === 'POST' ? await buffer(await decoded(request)) : ''
      return { sql: rest.length === 0 ? query : `${query}\n${rest}` }
    }
    const inline = Buffer.from(query.slice(insert.dataOffset))
    const file = createWriteStream(inboxFile)
    if (inline.length > 0) file.write(inline)
    await pipeline(await decoded(request), file)
    return { sql: insert.fromFile(inboxFile), insert: kindOf(insert, inboxFile) }
  }

  const body = await buffer(await decoded(request))
  // One character a byte, so that offsets are the body's and binary data behind the statement does no harm.
  const insert = parseInsertWithData(body.toString('latin1'))
  if (insert === undefined) return { sql: body.toString() }
  const text = Buffer.from(insert.fromFile(inboxFile), 'latin1').toString()
  await writeFile(inboxFile, body.subarray(insert.dataOffset))
  return { sql: text, insert: kindOf(insert, inboxFile) }
}

const kindOf = (insert: InsertWithData, path: string) =>
  insert.fromFile(path).includes(' INFILE ') ? 'rows' : 'query'

async function decoded(request: IncomingMessage): Promise<Readable> {
  const encoding = request.headers['content-encoding'] ?? 'identity'
  const decoders = { gzip: createGunzip, deflate: createInflate, zstd: createZstdDecompress }
  if (encoding === 'identity') return request
  if (!(encoding in decoders)) throw new HttpError(400, `Content-Encoding ${encoding} is not supported`)
  const decoder = decoders[encoding as keyof typeof decoders]()
  request.once('error', (error) => decoder.destroy(error))
  return request.pipe(decoder)
}

/**
 * Parameters of the address that belong to the protocol and not to the query's settings. A session's id is taken and
 * nothing is kept for it: many clients make one up for each connection, and hardly any use temporary tables.
 */
const protocolParameters = new Set(
  (
    'query query_id database default_format user password role quota_key session_id session_timeout session_check ' +
    'compress decompress stacktrace buffer_size wait_end_of_query client_protocol_version ' +
    'enable_http_compression http_zlib_compression_level send_progress_in_http_headers http_response_buffer_size ' +
    'http_headers_progress_interval_ms http_native_compression_disable_checksumming_on_decompress'
  ).split(' '),
)

function readOptions(url: URL, queryId: string): Omit<Statement, 'sql'> {
  const settings = new Map<string, string>()
  const parameters = new Map<string, string>()
  for (const [name, value] of url.searchParams) {
    if (name.startsWith('param_')) parameters.set(name.slice('param_'.length), value)
    else if (!protocolParameters.has(name)) settings.set(name, value)
  }
  return {
    queryId,
    database: url.searchParams.get('database') ?? undefined,
    defaultFormat: url.searchParams.get('default_format') ?? 'TabSeparated',
    settings,
    parameters,
  }
}

const formatOf = (sql: string) => /\bFORMAT\s+(\w+)\s*(?:SETTINGS\s[^()]*)?;?\s*$/i.exec(sql)?.[1]

function isAuthentic(request: IncomingMessage, url: URL, password: string): boolean {
  const [scheme, encoded = ''] = (request.headers.authorization ?? '').split(' ')
  const basic =
    scheme === 'Basic'
      ? Buffer.from(encoded, 'base64')
          .toString()
          .replace(/^[^:]*:/, '')
      : undefined
  const given = basic ?? request.headers['x-clickhouse-key'] ?? url.searchParams.get('password') ?? ''
  const [left, right] = [Buffer.from(String(given)), Buffer.from(password)]
  return left.length === right.length && timingSafeEqual(left, right)
}

class HttpError extends Error {
  readonly status: number
  constructor(status: number, message: string) {
    super(`Code: 48. DB::Exception: ${message}. (NOT_IMPLEMENTED)`)
    this.status = status
  }
}

/** Exceptions by code, as ClickHouse's server answers them; all others are 500. */
// biome-ignore format: a table, not a list of one line each
const statuses: Record<string, number> = {
  6: 400, 27: 400, 36: 400, 38: 400, 41: 400, 43: 400, 47: 404, 46: 404, 48: 501, 53: 400, 60: 404, 62: 400,
  81: 404, 115: 404, 159: 408, 164: 403, 456: 400, 457: 400, 516: 401,
}

function fail(request: IncomingMessage, response: ServerResponse, error: unknown, version: string): void {
  const message = error instanceof Error ? error.message : String(error)
  const code = /Code: (\d+)/.exec(message)?.[1] ?? '1001'
  const text = message.startsWith('Code:')
    ? message
    : `Code: 1001. DB::Exception: ${message}. (STD_EXCEPTION)`
  // What the client has not sent yet is not read; the connection could not be used again.
  if (!request.complete) response.setHeader('Connection', 'close')
  response.setHeader('X-ClickHouse-Exception-Code', code)
  response.statusCode = error instanceof HttpError ? error.status : (statuses[code] ?? 500)
  response.end(`${text} (version ${version} (embedded))\n`)
}
