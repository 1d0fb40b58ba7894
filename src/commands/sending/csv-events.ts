import type { Field } from '../../define/field.ts'
import type { RefusedEvent } from './answer.ts'
import { Attendance } from './attendance.ts'
import { contentId, digest, seededId } from './content-id.ts'
import type { CsvPlan } from './csv-plan.ts'
import { csvRows } from './csv-rows.ts'
import { CsvTable } from './csv-table.ts'
import type { EventLine } from './event-line.ts'
import type { Draft } from './export.ts'
import { AmbiguousNumber } from './local-number.ts'
import { Occurrences } from './occurrences.ts'
import { readCell } from './plain-csv.ts'
import type { Row } from './table.ts'

export interface CsvOptions {
  readonly source: string | undefined
  readonly secret: string | undefined
  /** Of --new-ids: with another one all events are others. */
  readonly seed?: string | undefined
  readonly map: ReadonlyMap<string, string>
  readonly set: ReadonlyMap<string, string>
  /** Of an event, to know where a value belongs. */
  readonly fieldsOf: (type: string) => readonly Field[]
  /** Names the file in errors. */
  readonly name?: string
  /** A row, or an event that was there already, that is not sent. */
  readonly onSkipped: (why: string) => void
}

/** The events of a CSV file, those of one piece together. */
export async function* csvEvents(
  pieces: AsyncIterable<Buffer>,
  plan: CsvPlan,
  options: CsvOptions,
): AsyncGenerator<EventLine[]> {
  const table = new CsvTable(plan.exports, plan.reading)
  const write = writer(plan, options)
  const attendance = new Attendance()
  let last: Pick<EventLine, 'number' | 'row'> = { number: 0 }
  for await (const rows of csvRows(pieces, plan.delimiter, options.name ?? 'this file')) {
    const events: EventLine[] = []
    for (const { cells, line } of rows) {
      const read = table.read(cells)
      if (read === undefined) continue
      if ('skipped' in read.meaning) {
        options.onSkipped(read.meaning.skipped)
        continue
      }
      last = { number: line, row: { header: read.row.columns.names, cells } }
      for (const draft of read.meaning.events) {
        const complete = completed(draft, read.row, plan, options)
        if (draft.stay !== undefined) attendance.add(complete, draft.stay)
        else push(events, write(complete, last))
      }
    }
    if (events.length > 0) yield events
  }
  const attended: EventLine[] = []
  for (const draft of attendance.events()) push(attended, write(draft, { number: last.number }))
  if (attended.length > 0) yield attended
}

/** What the options add to an event: fields that are the same in all, and columns that the export does not know. */
const completed = (draft: Draft, row: Row, plan: CsvPlan, options: CsvOptions): Draft => {
  if (options.set.size === 0 && (options.map.size === 0 || plan.isPlain)) return draft
  const data: Record<string, unknown> = { ...draft.data }
  const fields = new Map(options.fieldsOf(draft.type).map((field) => [field.name, field]))
  if (!plan.isPlain) {
    for (const [column, name] of options.map) {
      const field = fields.get(name)
      const cell = row.get(column)
      if (field !== undefined && cell !== undefined) data[name] = readCell(cell, field, plan.reading)
    }
  }
  for (const [name, value] of options.set) {
    const field = fields.get(name)
    if (field !== undefined) data[name] = readCell(value, field, plan.reading)
  }
  return { ...draft, data }
}

/**
 * Of a known export an event says who, what and when: said twice, it is the same event, and is left out. Rows
 * of any other CSV may be equal and mean two events.
 */
const writer = (plan: CsvPlan, options: CsvOptions) => {
  const occurrences = new Occurrences()
  return (draft: Draft, from: Pick<EventLine, 'number' | 'row'>): EventLine | undefined => {
    const { type, time, data, envelope = {} } = draft
    const refused = ambiguousIn(data)
    const place = refused === undefined ? from : { ...from, refused }
    const source = options.source ?? plan.source
    const text = JSON.stringify({ type, source, ...(time === undefined ? {} : { time }), ...envelope, data })
    if (envelope.id !== undefined) return { ...place, text }
    const content = digest(text, options.secret)
    const occurrence = occurrences.next(content)
    if (occurrence > 0 && !plan.isPlain) {
      options.onSkipped('repeats another')
      return undefined
    }
    const id =
      options.seed === undefined
        ? contentId(content, occurrence)
        : seededId(options.seed, from.number, content)
    return { ...place, text: `{"id":"${id}",${text.slice(1)}` }
  }
}

const ambiguousIn = (data: Draft['data']): RefusedEvent | undefined => {
  for (const name in data) {
    const value = data[name]
    if (value instanceof AmbiguousNumber)
      return { code: 'ambiguous_number', field: `/data/${name}`, detail: value.detail }
  }
  return undefined
}

const push = (events: EventLine[], event: EventLine | undefined): void => {
  if (event !== undefined) events.push(event)
}
