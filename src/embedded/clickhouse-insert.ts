import { quoted } from './clickhouse-engine.ts'

/** An INSERT whose rows come as data in some format, and where in the text its data would begin. */
export interface InsertWithData {
  /** The same insert, reading its rows from a file that holds the data. */
  fromFile(path: string): string
  /** Offset of the first byte behind the statement, where data sent in the same text stands. */
  dataOffset: number
}

/**
 * chdb takes data within a statement only as text, a server takes it in any format and, through `input()`, into
 * the middle of a query. Both can be said of a file, with the same meaning:
 *
 *     INSERT INTO t (a, b) FORMAT Avro                 INSERT INTO t (a, b) FROM INFILE '...' FORMAT Avro
 *     INSERT INTO t SELECT ... FROM input('...') ...   INSERT INTO t SELECT ... FROM file('...', 'Avro', '...') ...
 *
 * Undefined for every statement that is no such insert.
 */
export function parseInsertWithData(sql: string): InsertWithData | undefined {
  const tokens = [...tokensOf(sql)]
  if (!is(tokens[0], 'INSERT')) return undefined
  const outer = tokens.filter((token) => token.depth === 0)
  // The table's name comes first and may be any word.
  const clause = (word: string) => outer.findIndex((token, index) => index >= afterTable && is(token, word))

  const format = clause('FORMAT')
  const formatWord = outer[format]
  const formatName = outer[format + 1]
  if (format !== -1 && formatWord !== undefined && formatName !== undefined) {
    const dataOffset = afterLineEnd(sql, formatName.end)
    const input = findInput(tokens)
    if (input !== undefined) {
      const before = sql.slice(0, input.start)
      const between = sql.slice(input.end, formatWord.start)
      const call = (path: string) => `file(${quoted(path)}, '${formatName.text}', ${input.structure})`
      return { dataOffset, fromFile: (path) => `${before}${call(path)}${between}` }
    }
    if (clause('SELECT') !== -1 || clause('WITH') !== -1 || clause('VALUES') !== -1) return undefined
    const settings = outer[clause('SETTINGS')]
    const at = (settings ?? formatWord).start
    const rest = sql.slice(at, formatName.end)
    return { dataOffset, fromFile: (path) => `${sql.slice(0, at)}FROM INFILE ${quoted(path)} ${rest}` }
  }

  // Rows of VALUES within the statement are read by the engine; behind it there is room for data only when the
  // word is the last one.
  const values = outer[clause('VALUES')]
  if (values === undefined || values !== tokens.at(-1)) return undefined
  const head = sql.slice(0, values.start)
  return { dataOffset: sql.length, fromFile: (path) => `${head}FROM INFILE ${quoted(path)} FORMAT Values` }
}

/** Clauses begin behind INSERT, INTO and the table, which may be called by any word. */
const afterTable = 3

interface Token {
  text: string
  start: number
  end: number
  /** Of parentheses around it. */
  depth: number
}

const is = (token: Token | undefined, word: string) => token?.text.toUpperCase() === word

function findInput(tokens: readonly Token[]): { start: number; end: number; structure: string } | undefined {
  for (const [index, token] of tokens.entries()) {
    const [open, structure, close] = tokens.slice(index + 1, index + 4)
    if (!is(token, 'INPUT') || open?.text !== '(' || close?.text !== ')') continue
    if (structure?.text.startsWith("'"))
      return { start: token.start, end: close.end, structure: structure.text }
  }
  return undefined
}

function afterLineEnd(sql: string, from: number): number {
  const rest = /^[ \t]*;?[ \t]*\r?\n?/.exec(sql.slice(from, from + 1000))
  return from + (rest?.[0].length ?? 0)
}

// Comments, strings and quoted names are skipped as wholes, so nothing within them is taken for a keyword.
const lexer =
  /--[^\n]*|\/\*[\s\S]*?\*\/|'(?:\\[\s\S]|''|[^'\\])*'|`(?:\\[\s\S]|[^`\\])*`|"(?:\\[\s\S]|[^"\\])*"|\w+|[^\s]/y

function* tokensOf(sql: string): Generator<Token> {
  let depth = 0
  let outer = 0
  let afterFormat = false
  const space = /\s*/y
  for (let at = 0; ; ) {
    space.lastIndex = at
    space.exec(sql)
    lexer.lastIndex = space.lastIndex
    const match = lexer.exec(sql)
    if (match === null) return
    const text = match[0]
    at = lexer.lastIndex
    if (text.startsWith('--') || text.startsWith('/*')) continue
    if (text === ')') depth -= 1
    yield { text, start: match.index, end: at, depth }
    if (text === '(') depth += 1
    // What follows FORMAT and its name is data, not SQL.
    if (afterFormat) return
    if (depth > 0) continue
    afterFormat = outer >= afterTable && text.toUpperCase() === 'FORMAT'
    outer += 1
  }
}
