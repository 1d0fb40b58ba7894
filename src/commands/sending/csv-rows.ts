import { isUtf8 } from 'node:buffer'
import { Readable } from 'node:stream'
import { CsvError, parse } from 'csv-parse'
import { parse as parseAll } from 'csv-parse/sync'
import { EmbudoError, messageOf } from '../../define/error.ts'

export interface CsvRow {
  readonly cells: readonly string[]
  /** From 1: the line on which the row ends. */
  readonly line: number
}

/** Rows of exports are ragged and quoted as tools please: what can be read is read. */
const leniently = {
  bom: true,
  info: true,
  relax_column_count: true,
  relax_quotes: true,
  skip_empty_lines: true,
} as const

/** Rows as they come, those of one piece together. Throws `csv_malformed`. */
export async function* csvRows(
  pieces: AsyncIterable<Buffer>,
  delimiter: string,
  name: string,
): AsyncGenerator<CsvRow[]> {
  const input = Readable.from(pieces, { objectMode: false, highWaterMark: 1024 * 1024 })
  const parser = parse({ ...leniently, delimiter })
  input.on('error', (error) => parser.destroy(error))
  input.pipe(parser)
  let last: ParsedRow | undefined
  try {
    let rows: CsvRow[] = []
    for await (const parsed of parser as AsyncIterable<ParsedRow>) {
      last = parsed
      rows.push(rowOf(parsed))
      if (rows.length < rowsTogether) continue
      yield rows
      rows = []
    }
    if (rows.length > 0) yield rows
  } catch (cause) {
    if (cause instanceof EmbudoError) throw cause
    const openAt = openQuoteIn(cause, last)
    if (openAt !== undefined) throw openQuote(name, openAt, cause)
    throw new EmbudoError('csv_malformed', `${name} is no CSV: ${messageOf(cause)}`, { cause })
  } finally {
    input.destroy()
  }
}

const rowsTogether = 500

interface FirstRows {
  readonly delimiter: string
  readonly rows: readonly CsvRow[]
  /** The line of a quote that is not closed in these bytes: behind the rows, and perhaps closed behind the bytes. */
  readonly openQuoteAt: number | undefined
}

/** The first rows, and what parts their cells: whichever of comma, semicolon and tab makes the widest row. */
export const firstRows = (head: Buffer, name: string): FirstRows => {
  if (!isUtf8(head.subarray(0, wholeCharacters(head)))) {
    throw new EmbudoError('csv_malformed', `${name} is not UTF-8: save it as "CSV UTF-8" and send that`)
  }
  // The last row of a head may be cut off.
  const end = head.lastIndexOf(10)
  const whole = end === -1 ? head : head.subarray(0, end + 1)
  const readings = [',', ';', '\t'].map((delimiter) => ({ delimiter, ...rowsIn(whole, delimiter) }))
  const widest = ({ rows }: { rows: readonly CsvRow[] }) =>
    Math.max(0, ...rows.slice(0, 100).map(({ cells }) => cells.length))
  const best = readings.reduce((most, reading) => (widest(reading) > widest(most) ? reading : most))
  // With a mark that parts nothing a quote in the header is but a character of its one cell.
  const broken = readings.find(({ rows, openQuoteAt }) => rows.length === 0 && openQuoteAt !== undefined)
  return widest(best) < 2 && broken !== undefined ? broken : best
}

/** Those in front of what cannot be read, where something cannot. */
const rowsIn = (bytes: Buffer, delimiter: string): Pick<FirstRows, 'rows' | 'openQuoteAt'> => {
  const parsed: ParsedRow[] = []
  const keep = (row: unknown) => {
    parsed.push(row as ParsedRow)
    return null
  }
  let openQuoteAt: number | undefined
  try {
    parseAll(bytes, { ...leniently, delimiter, to: 1_000, on_record: keep })
  } catch (error) {
    openQuoteAt = openQuoteIn(error, parsed.at(-1))
  }
  return { rows: parsed.map(rowOf), openQuoteAt }
}

export const openQuote = (name: string, line: number, cause?: unknown): EmbudoError =>
  new EmbudoError(
    'csv_malformed',
    `${name}: a quote (") begins on line ${line} and is not closed up to the end of the file. Close it there, or write ` +
      '"" for a quote that is meant, and send the file again: what was sent of it counts once',
    { cause, facts: { line } },
  )

/** The line of the row that has it: the parser itself counts on to the end of what it was given. */
const openQuoteIn = (error: unknown, last: ParsedRow | undefined): number | undefined => {
  if (!(error instanceof CsvError) || error.code !== 'CSV_QUOTE_NOT_CLOSED') return undefined
  const blank = Number(error.empty_lines) - (last?.info.empty_lines ?? 0)
  return (last?.info.lines ?? 0) + blank + 1
}

const rowOf = ({ record, info }: ParsedRow): CsvRow => ({ cells: record, line: info.lines })

/** What csv-parse gives with `info`. */
interface ParsedRow {
  readonly record: string[]
  readonly info: { readonly lines: number; readonly empty_lines: number }
}

/** Up to the last character that begins in it: a head is cut anywhere. */
const wholeCharacters = (bytes: Buffer): number => {
  let end = bytes.length
  for (let back = 1; back <= 4 && back <= bytes.length; back++) {
    const byte = bytes[bytes.length - back]!
    if ((byte & 0xc0) === 0x80) continue
    if (byte >= 0xc0) end = bytes.length - back
    break
  }
  return end
}
