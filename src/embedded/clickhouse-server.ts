import { mkdir, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { openEngine } from './clickhouse-engine.ts'
import { answer } from './clickhouse-http.ts'

/**
 * The program behind the embedded ClickHouse. One process may hold a chdb folder at a time, so this one does, and
 * every other process of embudo talks to it with the client it would use for a real server.
 */
const { values } = parseArgs({
  options: { port: { type: 'string' }, data: { type: 'string' }, password: { type: 'string' } },
})
if (!values.port || !values.data || !values.password) {
  throw new Error('clickhouse-server needs --port <number> --data <folder> --password <file>')
}
const password = await readFile(values.password, 'utf8')
const engine = openEngine(join(values.data, 'data'))
// Bodies of inserts on their way into the engine; what a killed run left of them was never acknowledged.
const inbox = join(values.data, 'inbox')
await rm(inbox, { recursive: true, force: true })
await mkdir(inbox, { recursive: true })

const server = createServer((request, response) => {
  void answer(request, response, { engine, inbox, password })
})
// A client decides how long its requests may take; an idle connection may be used again at any time.
server.requestTimeout = 0
server.keepAliveTimeout = 60_000
server.listen({ host: '127.0.0.1', port: Number(values.port) })

process.once('SIGTERM', () => {
  server.close(() => {
    engine.close()
    process.exit(0)
  })
  server.closeIdleConnections()
})
