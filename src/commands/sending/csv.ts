import { Readable } from 'node:stream'
import { parse } from 'csv-parse'
import { EmbudoError, messageOf } from '../../define/error.ts'
import type { Field } from '../../define/field.ts'

export interface CsvOptions {
  readonly type: string
  /** Of the event, to tell numbers from text. */
  readonly fields: readonly Field[]
  /** Column -> field; an empty one leaves the column out. Columns that are not named are fields themselves. */
  readonly columns: ReadonlyMap<string, string>
}

export interface CsvEvent {
  /** From 1, the header not counted. */
  readonly number: number
  readonly text: string
  readonly endByte: number
}

/** RFC 4180 with a header, one event a record. An empty cell is an absent field. */
export async function* csvEvents(
  pieces: AsyncIterable<Buffer>,
  options: CsvOptions,
): AsyncGenerator<CsvEvent> {
  const parser = Readable.from(pieces, { objectMode: false }).pipe(
    parse({ columns: true, bom: true, info: true, skip_empty_lines: true }),
  )
  try {
    for await (const { record, info } of parser as AsyncIterable<{
      record: Record<string, string>
      info: { records: number; bytes: number }
    }>) {
      yield { number: info.records, text: JSON.stringify(csvEvent(record, options)), endByte: info.bytes }
    }
  } catch (cause) {
    throw new EmbudoError('csv_malformed', `this is no CSV with a header: ${messageOf(cause)}`, { cause })
  }
}

/** `id`, `time` and `source` are the event's own where its data has no such field. */
export const csvEvent = (
  record: Readonly<Record<string, string>>,
  { type, fields, columns }: CsvOptions,
): object => {
  const kinds = new Map(fields.map((field) => [field.name, field.kind.is]))
  const event: Record<string, unknown> = { type }
  const data: Record<string, unknown> = {}
  for (const [column, cell] of Object.entries(record)) {
    const name = columns.get(column) ?? column
    if (name === '' || cell === '') continue
    if (!kinds.has(name) && ofEnvelope.has(name)) event[name] = cell
    else data[name] = readCell(cell, kinds.get(name))
  }
  return { ...event, data }
}

const ofEnvelope = new Set(['id', 'time', 'source', 'subject'])

/** What does not look like its kind stays text: the server says what it expected. */
const readCell = (cell: string, kind: Field['kind']['is'] | undefined): unknown => {
  if (kind === 'integer' || kind === 'double')
    return /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(cell) ? Number(cell) : cell
  if (kind === 'boolean') return cell === 'true' ? true : cell === 'false' ? false : cell
  if (kind === 'strings') return cell.split(';').map((part) => part.trim())
  return cell
}
