import { isUtf8 } from 'node:buffer'
import { Readable } from 'node:stream'
import { parse } from 'csv-parse'
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

/** Rows as they come, those of one piece together. */
export async function* csvRows(pieces: AsyncIterable<Buffer>, delimiter: string): AsyncGenerator<CsvRow[]> {
  const input = Readable.from(pieces, { objectMode: false, highWaterMark: 1024 * 1024 })
  const parser = parse({ ...leniently, delimiter })
  input.on('error', (error) => parser.destroy(error))
  input.pipe(parser)
  try {
    let rows: CsvRow[] = []
    for await (const parsed of parser as AsyncIterable<ParsedRow>) {
      rows.push(rowOf(parsed))
      if (rows.length < rowsTogether) continue
      yield rows
      rows = []
    }
    if (rows.length > 0) yield rows
  } catch (cause) {
    if (cause instanceof EmbudoError) throw cause
    throw new EmbudoError('csv_malformed', `this is no CSV: ${messageOf(cause)}`, { cause })
  } finally {
    input.destroy()
  }
}

const rowsTogether = 500

/** The first rows, and what parts their cells: whichever of comma, semicolon and tab makes the widest row. */
export const firstRows = (head: Buffer, name: string): { delimiter: string; rows: CsvRow[] } => {
  if (!isUtf8(head.subarray(0, wholeCharacters(head)))) {
    throw new EmbudoError('csv_malformed', `${name} is not UTF-8: save it as "CSV UTF-8" and send that`)
  }
  // The last row of a head may be cut off.
  const end = head.lastIndexOf(10)
  const whole = end === -1 ? head : head.subarray(0, end + 1)
  const readings = [',', ';', '\t'].map((delimiter) => ({ delimiter, rows: rowsIn(whole, delimiter) }))
  const widest = ({ rows }: { rows: CsvRow[] }) =>
    Math.max(0, ...rows.slice(0, 100).map(({ cells }) => cells.length))
  return readings.reduce((best, reading) => (widest(reading) > widest(best) ? reading : best))
}

const rowsIn = (bytes: Buffer, delimiter: string): CsvRow[] => {
  try {
    return (parseAll(bytes, { ...leniently, delimiter, to: 1_000 }) as unknown as ParsedRow[]).map(rowOf)
  } catch {
    return []
  }
}

const rowOf = ({ record, info }: ParsedRow): CsvRow => ({ cells: record, line: info.lines })

/** What csv-parse gives with `info`. */
interface ParsedRow {
  readonly record: string[]
  readonly info: { readonly lines: number }
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
