import { EmbudoError } from '../../define/error.ts'
import type { Field } from '../../define/field.ts'
import { nearest } from '../../ingest/nearest.ts'
import { firstRows, openQuote } from './csv-rows.ts'
import { CsvTable } from './csv-table.ts'
import type { Export, Reading } from './export.ts'
import { isAddress, leadIdOfAddress } from './lead-id.ts'
import { AmbiguousNumber, type DecimalMark, plainNumber } from './local-number.ts'
import { instantOf, type LocalTimes } from './local-time.ts'
import { plainCsv, readCell } from './plain-csv.ts'
import type { Columns } from './table.ts'

/** How a CSV file is read, decided from its first rows, before anything is sent. */
export interface CsvPlan {
  /** What it was recognised as. */
  readonly name: string
  readonly source: string
  readonly delimiter: string
  readonly columns: readonly string[]
  /** Its header names the fields of one event; no export of another tool. */
  readonly isPlain: boolean
  readonly exports: readonly Export[]
  readonly reading: Reading
}

export interface CsvPlanOptions {
  /** The event that each row is; it makes the file a plain one, whatever its header. */
  readonly type: string | undefined
  readonly fieldsOf: (type: string) => readonly Field[]
  readonly map: ReadonlyMap<string, string>
  readonly set: ReadonlyMap<string, string>
  readonly times: LocalTimes
  readonly decimal: DecimalMark | undefined
  readonly secret: string | undefined
  /** `contact`: the tool's own id is preferred to one from the mail address. */
  readonly leadId: 'email' | 'contact'
  readonly defaultSource: string
}

/** Throws `wrong_use`, naming what is missing. */
export const csvPlan = (
  head: Buffer,
  name: string,
  known: readonly Export[],
  options: CsvPlanOptions,
): CsvPlan => {
  const { delimiter, rows, openQuoteAt } = firstRows(head, name)
  if (rows.length === 0 && openQuoteAt !== undefined) throw openQuote(name, openQuoteAt)
  const reading = readingOf(options)
  const headers = new Set<Columns>()
  const planOf = (exports: readonly Export[], isPlain: boolean): CsvPlan | undefined => {
    const table = new CsvTable(exports, reading)
    let columns: readonly string[] | undefined
    for (const { cells } of rows) {
      const read = table.read(cells)
      if (table.header !== undefined) headers.add(table.header)
      if (read !== undefined && 'events' in read.meaning) columns ??= read.row.columns.names
    }
    const { recognised, header } = table
    if (recognised === undefined || header === undefined) return undefined
    columns ??= header.names
    return { name: recognised.name, source: recognised.source, delimiter, columns, isPlain, exports, reading }
  }
  const { type, map, set, defaultSource } = options
  if (type === undefined) {
    const plan = planOf(known, false)
    if (plan === undefined) throw unknownHeader(name, rows[0]?.cells ?? [], known)
    checkSet(set, plan, options)
    checkMap(map, [...headers], options)
    return plan
  }
  const fields = options.fieldsOf(type)
  const plain = plainCsv({ type, fields, map, set, source: defaultSource })
  const plan = planOf([plain], true)
  if (plan === undefined) throw new EmbudoError('wrong_use', `${name} is empty: expected a header row`)
  checkSet(set, plan, options)
  return plan
}

const readingOf = (options: CsvPlanOptions): Reading => ({
  instant: (text) => (text === undefined ? undefined : (instantOf(text, options.times) ?? text)),
  leadId: (address, own) => {
    if (own !== undefined && options.leadId === 'contact') return own
    return address !== undefined && isAddress(address) ? leadIdOfAddress(address, options.secret) : own
  },
  number: (text) => {
    const number = text === undefined ? undefined : plainNumber(text, options.decimal)
    return typeof number === 'string' ? Number(number) : text
  },
  decimal: options.decimal,
  set: options.set,
})

const checkSet = (
  set: ReadonlyMap<string, string>,
  plan: CsvPlan,
  { type, fieldsOf }: CsvPlanOptions,
): void => {
  const types = plan.isPlain && type !== undefined ? [type] : typesOfExports
  const fields = types.flatMap((each) => fieldsOf(each))
  for (const [name, value] of set) {
    const field = fields.find((each) => each.name === name)
    if (field === undefined) {
      const names = [...new Set(fields.map((each) => each.name))].join(', ')
      const message = `--set names a field ${name} that ${types.join(' and ')} do not have; fields are ${names}`
      throw new EmbudoError('wrong_use', message)
    }
    const read = readCell(value, field, plan.reading)
    if (read instanceof AmbiguousNumber) throw new EmbudoError('wrong_use', `--set ${name}: ${read.detail}`)
  }
}

/** Of a known export, whose tables may have several headers. What it reads itself is not told here. */
const checkMap = (
  map: ReadonlyMap<string, string>,
  headers: readonly Columns[],
  { fieldsOf }: CsvPlanOptions,
): void => {
  const fields = [...new Set(typesOfExports.flatMap((type) => fieldsOf(type).map(({ name }) => name)))]
  for (const [column, name] of map) {
    if (!headers.some((header) => header.has(column))) {
      const columns = [...new Set(headers.flatMap(({ names }) => names))]
      const meant = nearest(column, columns)
      const advice = meant === undefined ? '' : `; did you mean "${meant}"`
      throw new EmbudoError(
        'wrong_use',
        `--map names a column "${column}" that is not there${advice}. The columns are: ${columns.join(', ')}`,
      )
    }
    if (fields.includes(name)) continue
    const message =
      name === ''
        ? `--map "${column}=" leaves a column out of a CSV that is read with --type; of a known export it cannot`
        : `--map names a field ${name} that ${typesOfExports.join(' and ')} do not have; fields are ${fields.join(', ')}`
    throw new EmbudoError('wrong_use', message)
  }
}

/** What the exports that are known make of their rows. */
const typesOfExports = ['lead_registered', 'webinar_attended']

const unknownHeader = (name: string, cells: readonly string[], known: readonly Export[]): EmbudoError =>
  new EmbudoError(
    'wrong_use',
    `${name} is none of the exports that are known (${known.map((each) => each.name).join(', ')}): ` +
      `its first row is ${cells.length === 0 ? 'empty' : cells.slice(0, 12).join(', ')}. ` +
      'Name the event that each row is with --type, for example --type webinar_attended; ' +
      'columns whose names are not those of its fields are mapped with --map "<column>=<field>"',
  )
