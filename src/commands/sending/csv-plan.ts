import { EmbudoError } from '../../define/error.ts'
import type { Field } from '../../define/field.ts'
import { firstRows } from './csv-rows.ts'
import { CsvTable } from './csv-table.ts'
import type { Export, Reading } from './export.ts'
import { isAddress, leadIdOfAddress } from './lead-id.ts'
import { plainNumber } from './local-number.ts'
import { instantOf, type LocalTimes } from './local-time.ts'
import { plainCsv } from './plain-csv.ts'

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
  const { delimiter, rows } = firstRows(head, name)
  const reading = readingOf(delimiter, options)
  const planOf = (exports: readonly Export[], isPlain: boolean): CsvPlan | undefined => {
    const table = new CsvTable(exports, reading)
    let columns: readonly string[] | undefined
    for (const { cells } of rows) {
      const read = table.read(cells)
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
    return plan
  }
  const fields = options.fieldsOf(type)
  const plain = plainCsv({ type, fields, map, set, source: defaultSource, delimiter })
  const plan = planOf([plain], true)
  if (plan === undefined) throw new EmbudoError('wrong_use', `${name} is empty: expected a header row`)
  checkSet(set, plan, options)
  return plan
}

const readingOf = (delimiter: string, options: CsvPlanOptions): Reading => ({
  instant: (text) => (text === undefined ? undefined : (instantOf(text, options.times) ?? text)),
  leadId: (address, own) => {
    if (own !== undefined && options.leadId === 'contact') return own
    return address !== undefined && isAddress(address) ? leadIdOfAddress(address, options.secret) : own
  },
  number: (text) => {
    const number = text === undefined ? undefined : plainNumber(text, delimiter)
    return number === undefined ? text : Number(number)
  },
  set: options.set,
})

const checkSet = (
  set: ReadonlyMap<string, string>,
  plan: CsvPlan,
  { type, fieldsOf }: CsvPlanOptions,
): void => {
  const types = plan.isPlain && type !== undefined ? [type] : ['lead_registered', 'webinar_attended']
  const fields = types.flatMap((each) => fieldsOf(each).map((field) => field.name))
  for (const name of set.keys()) {
    if (fields.includes(name)) continue
    const message = `--set names a field ${name} that ${types.join(' and ')} do not have; fields are ${[...new Set(fields)].join(', ')}`
    throw new EmbudoError('wrong_use', message)
  }
}

const unknownHeader = (name: string, cells: readonly string[], known: readonly Export[]): EmbudoError =>
  new EmbudoError(
    'wrong_use',
    `${name} is none of the exports that are known (${known.map((each) => each.name).join(', ')}): ` +
      `its first row is ${cells.length === 0 ? 'empty' : cells.slice(0, 12).join(', ')}. ` +
      'Name the event that each row is with --type, for example --type webinar_attended; ' +
      'columns whose names are not those of its fields are mapped with --map "<column>=<field>"',
  )
