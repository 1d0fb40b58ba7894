import {
  type Advance,
  movedTo,
  movingParameters,
  movingSql,
  type Position,
  positionMoved,
  type Sql,
} from '../../consumer/positions.ts'
import { letterArrays, letterColumns, type NewLetter } from '../../dead-letter/letters.ts'
import type { Row } from '../../define/read-model.ts'
import type { Measure } from '../../define/tally.ts'
import { arrayLiteral } from './array-literal.ts'
import type { Table, TableColumn } from './table.ts'

/** What one batch does to a read model's table. Keys are distinct over all three. */
export interface RowChanges {
  readonly inserted: readonly Row[]
  readonly updated: readonly Row[]
  readonly deleted: readonly string[]
}

/**
 * Rows and position in one statement, and so in one transaction and one round trip. The position's row is
 * locked by its update; where the epoch or the offset is another's, `moved` is empty and nothing is written.
 * Rows may have been read before: whoever changes them out of band raises the epoch first.
 */
const moved = `moved as (${movingSql} returning 1)`

/** Throws `position_moved` (retriable) where this process no longer owns the partition. */
export const writeRows = async (
  sql: Sql,
  table: Table,
  position: Position,
  next: Advance,
  changes: RowChanges,
  letters: readonly NewLetter[],
): Promise<Position> => {
  const statement = new Statement(position, next)
  statement.park(letters)
  const key = table.keys[0]!
  if (changes.inserted.length > 0) {
    const columns = table.columns.map((column) => column.quoted).join(', ')
    statement.add(
      'inserted',
      `insert into ${table.name} (${columns})
      select ${columns} from ${statement.unnest(table.columns, changes.inserted)} where exists (select from moved)`,
    )
  }
  if (changes.updated.length > 0) {
    const set = table.others.map(({ quoted }) => `${quoted} = r.${quoted}`).join(', ')
    statement.add(
      'updated',
      `update ${table.name} as t set ${set}
      from ${statement.unnest(table.columns, changes.updated)} where t.${key.quoted} = r.${key.quoted} and exists (select from moved)`,
    )
  }
  if (changes.deleted.length > 0) {
    const keys = statement.parameter(arrayLiteral(changes.deleted, key.type))
    statement.add(
      'deleted',
      `delete from ${table.name} where ${key.quoted} = any(${keys}::${key.type}[]) and exists (select from moved)`,
    )
  }
  return await statement.run(sql, position, next)
}

/** Adds partial sums, minima and maxima to the partial rows of this partition. */
export const writeCounts = async (
  sql: Sql,
  table: Table,
  measures: Readonly<Record<string, Measure>>,
  position: Position,
  next: Advance,
  rows: readonly Row[],
  letters: readonly NewLetter[],
): Promise<Position> => {
  const statement = new Statement(position, next)
  statement.park(letters)
  if (rows.length > 0) {
    const columns = table.columns.map((column) => column.quoted).join(', ')
    const set = table.others.map(
      ({ name, quoted }) => `${quoted} = ${combine(measures[name]!, `t.${quoted}`, `excluded.${quoted}`)}`,
    )
    statement.add(
      'counted',
      `insert into ${table.name} as t (${columns})
      select ${columns} from ${statement.unnest(table.columns, rows)} where exists (select from moved)
      on conflict (${table.keys.map((key) => key.quoted).join(', ')}) do update set ${set.join(', ')}`,
    )
  }
  return await statement.run(sql, position, next)
}

/** Minima and maxima pass over null; a sum takes null as nothing. */
const combine = (measure: Measure, left: string, right: string): string =>
  measure === 'sum'
    ? `coalesce(${left} + ${right}, ${left}, ${right})`
    : `${measure === 'min' ? 'least' : 'greatest'}(${left}, ${right})`

class Statement {
  readonly #parameters: unknown[]
  readonly #parts: string[] = [moved]

  constructor(position: Position, next: Advance) {
    this.#parameters = movingParameters(position, next)
  }

  parameter(value: unknown): string {
    return `$${this.#parameters.push(value)}`
  }

  /** `unnest(...) as r (...)`: one array a column. */
  unnest(columns: readonly TableColumn[], rows: readonly Row[]): string {
    const arrays = columns.map(({ name, type }) => {
      const literal = arrayLiteral(
        rows.map((row) => row[name]),
        type,
      )
      return `${this.parameter(literal)}::${type}[]`
    })
    return `unnest(${arrays.join(', ')}) as r (${columns.map((column) => column.quoted).join(', ')})`
  }

  add(name: string, sql: string): void {
    this.#parts.push(`${name} as (${sql})`)
  }

  /** In the same statement: the position moves behind them. */
  park(letters: readonly NewLetter[]): void {
    if (letters.length === 0) return
    const arrays = letterArrays(letters).map(
      (values, index) => `${this.parameter(values)}::${letterColumns[index]![1]}[]`,
    )
    this.add(
      'parked',
      `insert into embudo.dead_letters (reader, generation, topic, partition, ${letterColumns.map(([name]) => name).join(', ')})
      select $3, $4::integer, $5, $6::integer, r.* from unnest(${arrays.join(', ')}) as r where exists (select from moved)
      on conflict do nothing`,
    )
  }

  async run(sql: Sql, position: Position, next: Advance): Promise<Position> {
    const text = `with ${this.#parts.join(',\n')}\nselect count(*)::integer as moved from moved`
    const { rows } = await sql.query<{ moved: number }>(text, this.#parameters)
    if (rows[0]!.moved !== 1) throw positionMoved(position)
    return movedTo(position, next)
  }
}
