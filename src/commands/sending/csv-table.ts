import type { Export, Reading, ReadRow, RowMeaning } from './export.ts'
import { Columns, Row } from './table.ts'

/**
 * Rows of a file as what they mean, one after the other: titles and small tables in front, then tables with
 * headers of their own. A row that some export knows as its header begins a table, a title ends it.
 */
export class CsvTable {
  /** The export that the first table is one of. */
  recognised: Export | undefined
  header: Columns | undefined

  readonly #exports: readonly Export[]
  readonly #reading: Reading
  #preamble: (readonly string[])[] = []
  #section = ''
  #readRow: ReadRow | undefined

  constructor(exports: readonly Export[], reading: Reading) {
    this.#exports = exports
    this.#reading = reading
  }

  /** Undefined for what is no row of a table. */
  read(cells: readonly string[]): { readonly row: Row; readonly meaning: RowMeaning } | undefined {
    const filled = cells.filter((cell) => cell.trim() !== '').length
    if (filled === 0) return undefined
    const isTitle = filled === 1 && (cells[0] ?? '').trim() !== '' && (this.header?.names.length ?? 2) > 1
    if (this.#readRow === undefined || (isTitle && sectionTitle.test(cells[0]!.trim()))) {
      this.#outside(cells, isTitle)
      return undefined
    }
    const row = new Row(this.header!, cells)
    return { row, meaning: this.#readRow(row) }
  }

  #outside(cells: readonly string[], isTitle: boolean): void {
    this.#readRow = undefined
    const header = new Columns(cells)
    for (const candidate of this.#exports) {
      const readRow = candidate.recognise(
        { header, preamble: this.#preamble, section: this.#section },
        this.#reading,
      )
      if (readRow === undefined) continue
      this.recognised ??= candidate
      this.header = header
      this.#readRow = readRow
      return
    }
    if (isTitle) this.#section = cells[0]!.trim()
    if (this.#preamble.length < maxPreamble) this.#preamble.push(cells)
  }
}

const maxPreamble = 200

/** As Zoom writes them; a name in a list of one column is not to end it. */
const sectionTitle = /^(host|panelist|attendee|registrant|participant)s? details|^other attended/i
