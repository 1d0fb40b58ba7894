/** What stands above the rows of a table. */
export interface TableHead {
  readonly header: Columns
  /** The rows in front of it: titles, and small tables of their own. */
  readonly preamble: readonly (readonly string[])[]
  /** The title right above the header, where it is one: "Attendee Details". */
  readonly section: string
}

/** Columns by name, whatever their case and spacing: tools change both between releases. */
export class Columns {
  readonly names: readonly string[]
  readonly #indexes = new Map<string, number>()

  constructor(names: readonly string[]) {
    this.names = names.map((name) => name.trim())
    for (const [index, name] of this.names.entries()) {
      const plain = plainName(name)
      if (!this.#indexes.has(plain)) this.#indexes.set(plain, index)
    }
  }

  /** True where each of them is there. */
  has(...names: readonly string[]): boolean {
    return names.every((name) => this.#indexes.has(plainName(name)))
  }

  hasAny(...names: readonly string[]): boolean {
    return names.some((name) => this.#indexes.has(plainName(name)))
  }

  /** Of the first of these names that is a column. */
  indexOf(...names: readonly string[]): number | undefined {
    for (const name of names) {
      const index = this.#indexes.get(plainName(name))
      if (index !== undefined) return index
    }
    return undefined
  }
}

export const plainName = (name: string): string => name.trim().toLowerCase().replaceAll(/\s+/g, ' ')

export class Row {
  readonly columns: Columns
  readonly cells: readonly string[]

  constructor(columns: Columns, cells: readonly string[]) {
    this.columns = columns
    this.cells = cells
  }

  /** What stands in the first of these columns that has something; dashes are how exports write nothing. */
  get(...names: readonly string[]): string | undefined {
    for (const name of names) {
      const index = this.columns.indexOf(name)
      const cell = index === undefined ? undefined : this.cells[index]?.trim()
      if (cell !== undefined && cell !== '' && !/^-{1,2}$/.test(cell)) return cell
    }
    return undefined
  }
}
