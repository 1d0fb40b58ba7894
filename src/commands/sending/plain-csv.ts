import { EmbudoError } from '../../define/error.ts'
import type { Field } from '../../define/field.ts'
import { nearest } from '../../ingest/nearest.ts'
import type { Export, Reading } from './export.ts'
import { isAddress } from './lead-id.ts'
import { type AmbiguousNumber, plainNumber } from './local-number.ts'
import type { Columns } from './table.ts'

export interface PlainCsvOptions {
  readonly type: string
  readonly fields: readonly Field[]
  /** Column -> field; an empty one leaves the column out. */
  readonly map: ReadonlyMap<string, string>
  readonly set: ReadonlyMap<string, string>
  readonly source: string
}

/** CSV whose header names the fields of one event. `id`, `time`, `source` and `subject` are the event's own. */
export const plainCsv = (options: PlainCsvOptions): Export => ({
  name: `CSV of ${options.type}`,
  source: options.source,
  recognise: ({ header }, reading) => {
    const columns = columnsOf(header, options)
    return ({ cells }) => {
      const envelope: Record<string, string> = {}
      let time: string | undefined
      const data: Record<string, unknown> = {}
      for (const { index, name, field } of columns) {
        const cell = cells[index]?.trim() ?? ''
        if (cell === '') continue
        if (field !== undefined) data[name] = readCell(cell, field, reading)
        else if (name === 'time') time = reading.instant(cell)
        else envelope[name] = cell
      }
      return { events: [{ type: options.type, time, data, envelope }] }
    }
  },
})

interface Column {
  readonly index: number
  readonly name: string
  /** Undefined for what is the event's own. */
  readonly field: Field | undefined
}

const columnsOf = (header: Columns, options: PlainCsvOptions): Column[] => {
  const { type, fields, map, set } = options
  const names = [...fields.map(({ name }) => name), ...ofEnvelope]
  const unknown: string[] = []
  const columns = header.names.flatMap((column, index): Column[] => {
    const mapped = map.get(column) ?? names.find((name) => bare(name) === bare(column))
    if (mapped === '' || column === '') return []
    if (mapped === undefined || !names.includes(mapped)) {
      const meant = nearest(mapped ?? column, names) ?? alike(column, names)
      const advice = meant === undefined ? '' : `; did you mean ${meant}? --map "${column}=${meant}"`
      unknown.push(`"${column}"${mapped === undefined ? '' : ` (mapped to ${mapped})`}${advice}`)
      return []
    }
    return [{ index, name: mapped, field: fields.find(({ name }) => name === mapped) }]
  })
  for (const column of map.keys()) {
    if (!header.names.includes(column)) {
      throw wrongUse(
        `--map names a column "${column}" that is not there; the columns are: ${header.names.join(', ')}`,
      )
    }
  }
  const same = [...Map.groupBy(columns, ({ name }) => name).values()].find(({ length }) => length > 1)
  if (same !== undefined) {
    const named = same.map(({ index }) => header.names[index]!)
    throw sameField(same[0]!.name, named)
  }
  if (unknown.length > 0) {
    throw wrongUse(
      `${type} has no field for ${unknown.length === 1 ? 'the column' : 'the columns'} ${unknown.join(', ')}. ` +
        `Its fields are ${fields.map(({ name }) => name).join(', ')}. ` +
        'Say --map "<column>=<field>", or --map "<column>=" to leave a column out',
    )
  }
  const given = new Set([...columns.map(({ name }) => name), ...set.keys()])
  const missing = fields.filter(({ name, nullable }) => !nullable && !given.has(name)).map(({ name }) => name)
  if (missing.length > 0) {
    throw wrongUse(
      `no column is ${missing.join(', nor ')}, which every ${type} has; the columns are: ${header.names.join(', ')}. ` +
        `Say --map "<column>=${missing[0]}", or --set ${missing[0]}=<value> where it is the same in every row`,
    )
  }
  return columns
}

/** Whichever was taken, the other would be lost without a word. */
const sameField = (field: string, columns: readonly string[]): EmbudoError => {
  const quoted = columns.map((column) => `"${column}"`).join(', ')
  const advice =
    new Set(columns).size === columns.length
      ? `leave out the others, for example --map "${columns.at(-1)}="`
      : 'rename one of them in the file, or remove it there'
  return wrongUse(`${columns.length} columns are ${field}: ${quoted}; ${advice}`)
}

const ofEnvelope = ['id', 'time', 'source', 'subject']

/** "Lead ID" and lead_id are leadId. */
const bare = (name: string): string => name.toLowerCase().replaceAll(/[^\p{L}\p{N}]/gu, '')

/** "Webinar" for webinarId. */
const alike = (column: string, names: readonly string[]): string | undefined =>
  bare(column).length < 3
    ? undefined
    : names.find((name) => bare(name).includes(bare(column)) || bare(column).includes(bare(name)))

const wrongUse = (message: string): EmbudoError => new EmbudoError('wrong_use', message)

/** What does not look like its kind stays text: the server says what it expected. May be an `AmbiguousNumber`. */
export const readCell = (cell: string, field: Field, reading: Reading): unknown => {
  const { name, kind } = field
  // As it stands it would be refused: ids stay in the log for ever.
  if (name === 'leadId' && isAddress(cell)) return reading.leadId(cell, undefined)
  switch (kind.is) {
    case 'integer':
    case 'double':
      return numberOr(cell, reading)
    case 'decimal':
      return plainNumber(cell, reading.decimal) ?? cell
    case 'boolean':
      return /^(true|yes)$/i.test(cell) ? true : /^(false|no)$/i.test(cell) ? false : cell
    case 'strings':
      return cell.split(';').map((part) => part.trim())
    case 'date':
      return reading.instant(cell)?.slice(0, 10) ?? cell
    default:
      return cell
  }
}

const numberOr = (cell: string, { decimal }: Reading): number | string | AmbiguousNumber => {
  const number = plainNumber(cell, decimal)
  if (number === undefined) return cell
  return typeof number === 'string' ? Number(number) : number
}
