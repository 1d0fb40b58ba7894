import { setTimeout as sleep } from 'node:timers/promises'
import { Session } from 'chdb'

export interface Statement {
  sql: string
  queryId: string
  database?: string | undefined
  /** The output format where the statement names none. */
  defaultFormat: string
  settings: ReadonlyMap<string, string>
  parameters: ReadonlyMap<string, string>
}

export interface Result {
  body: Uint8Array
  rows: number
  bytes: number
  elapsedSeconds: number
}

export interface Engine {
  readonly version: string
  run(statement: Statement): Promise<Result>
  /** Ends a running statement by the query id that its client gave it. */
  kill(queryId: string): Promise<void>
  close(): void
}

/**
 * chdb with a session for each statement. Sessions of one folder share the data and nothing else: statements run
 * side by side (within a session they queue), and settings and parameters end with their statement. Opening one
 * takes less than a millisecond.
 */
export function openEngine(folder: string): Engine {
  // The engine lives as long as one session is open.
  const anchor = new Session(folder)
  const version = anchor.query('SELECT version()', 'TabSeparated').trim()

  const runOne = async (statement: Statement): Promise<Result> => {
    const session = new Session(folder)
    try {
      const result = await session.queryAsync(script(statement), { format: statement.defaultFormat })
      return {
        body: result.bytes(),
        rows: result.rowsRead,
        bytes: result.bytesRead,
        elapsedSeconds: result.elapsed,
      }
    } finally {
      session.close()
    }
  }

  const idsWhere = async (condition: string, statement: Statement): Promise<string[]> => {
    const sql = `SELECT engine_query_id FROM ${processes} WHERE ${condition} FORMAT TabSeparated`
    const { body } = await runOne({ ...statement, sql })
    return Buffer.from(body).toString().split('\n').filter(Boolean)
  }

  const run = async (statement: Statement): Promise<Result> => {
    const kill = parseKill(statement.sql)
    if (kill === undefined) return runOne({ ...statement, sql: withClientQueryIds(statement.sql) })
    const ids = (await idsWhere(kill.condition, statement)).map(quoted).join(', ')
    const these = `engine_query_id IN ('', ${ids || "''"})`
    const sql = `KILL QUERY WHERE query_id IN ('', ${ids || "''"}) ${kill.test}${kill.format}`
    const result = await runOne({ ...statement, sql })
    // chdb's own SYNC waits for ever: a killed query stays in the list until its session closes.
    while (kill.sync && (await idsWhere(these, statement)).length > 0) await sleep(10)
    return result
  }

  return {
    version,
    run,
    async kill(queryId) {
      const sql = `KILL QUERY WHERE query_id = ${quoted(queryId)}`
      const none = new Map<string, string>()
      const options = { queryId: '', defaultFormat: 'TabSeparated', settings: none, parameters: none }
      await run({ sql, ...options }).catch(() => {})
    },
    close: () => anchor.close(),
  }
}

/** The engine makes its own query ids, so the client's travels in a setting that system.processes shows. */
const queryIdSetting = 'log_comment'

const processes =
  `(SELECT query_id AS engine_query_id, ` +
  `* REPLACE (if(mapContains(Settings, '${queryIdSetting}'), Settings['${queryIdSetting}'], query_id) AS query_id) ` +
  `FROM system.processes)`

/** Shows clients their own query ids. */
const withClientQueryIds = (sql: string) => sql.replace(/\bsystem\.processes\b/gi, processes)

function parseKill(sql: string) {
  const pattern = /^\s*KILL\s+QUERY\s+WHERE\s+(.*?)(?:\s+(SYNC|ASYNC|TEST))?(\s+FORMAT\s+\w+)?[\s;]*$/is
  const [match, condition = '', mode = '', format = ''] = pattern.exec(sql) ?? []
  if (match === undefined) return undefined
  const is = (name: string) => mode.toUpperCase() === name
  return { condition, sync: is('SYNC'), test: is('TEST') ? 'TEST' : '', format }
}

function script(statement: Statement): string {
  const settings = [...new Map([[queryIdSetting, statement.queryId], ...statement.settings])]
  const lines = [`SET ${settings.map(assigned).join(', ')}`]
  for (const [name, value] of statement.parameters)
    lines.push(`SET param_${identifier(name)} = ${quoted(value)}`)
  if (statement.database) lines.push(`USE ${backquoted(statement.database)}`)
  lines.push(statement.sql)
  return lines.join(';\n')
}

const assigned = ([name, value]: [string, string]) => `${identifier(name)} = ${quoted(value)}`

export const quoted = (text: string) => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`

const backquoted = (name: string) => `\`${name.replaceAll('\\', '\\\\').replaceAll('`', '\\`')}\``

function identifier(name: string): string {
  if (/^\w+$/.test(name)) return name
  throw new Error(`Code: 115. DB::Exception: Unknown setting ${quoted(name)}. (UNKNOWN_SETTING)`)
}
