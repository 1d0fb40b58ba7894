import {
  type Move,
  movedSql,
  movedTo,
  movingParameters,
  type Position,
  positionMoved,
  type Sql,
} from '../../consumer/positions.ts'
import { letterArrays, letterColumns, type NewLetter } from '../../dead-letter/letters.ts'
import type { Row } from '../../define/read-model.ts'
import type { Measure } from '../../define/tally.ts'
import { prepared } from '../../postgres/prepared.ts'
import { arrayLiteral } from './array-literal.ts'
import type { Table, TableColumn } from './table.ts'

/** What a batch does to a read model's table: keys are distinct over all three. */
export interface RowChanges {
  readonly inserted: readonly Row[]
  readonly updated: readonly Row[]
  readonly deleted: readonly string[]
}

/** Partial sums, minima and maxima that a batch adds to the partial rows of its partition. */
export interface CountChanges {
  readonly counted: readonly Row[]
}

export type Changes = RowChanges | CountChanges

/** A batch of one partition. */
export interface Write extends Move {
  readonly changes: Changes
  /** Parked in the same statement: the position moves behind them. */
  readonly letters: readonly NewLetter[]
}

/** Rows and letters. */
export const sizeOf = ({ changes, letters }: Write): number =>
  letters.length +
  ('counted' in changes
    ? changes.counted.length
    : changes.inserted.length + changes.updated.length + changes.deleted.length)

/** Rows and letters that cost more to plan than to write. More of them are planned by their number. */
export const fewRows = 200

/**
 * Rows and positions of one table's partitions in one statement, and so in one transaction and one round trip. A
 * position's row is locked by `expected`; where its epoch or offset is another's, or somebody else has it locked just
 * now, it is not in `moved`, nothing of that partition is written, and its place in the answer is undefined. Rows may
 * have been read before: whoever changes them out of band raises the epoch first.
 */
export const writeTogether = (
  sql: Sql,
  table: Table,
  writes: readonly Write[],
): Promise<(Position | undefined)[]> => writeAll(sql, table, writes, 'for update of p skip locked')

/**
 * The same for one, which waits for whoever has its position locked. Throws `position_moved` (retriable) where this
 * process no longer owns the partition.
 */
export const writeOne = async (sql: Sql, table: Table, write: Write): Promise<Position> => {
  const [position] = await writeAll(sql, table, [write], 'for update of p')
  if (position === undefined) throw positionMoved(write.position)
  return position
}

const writeAll = async (
  sql: Sql,
  table: Table,
  writes: readonly Write[],
  lock: Parameters<typeof movedSql>[0],
): Promise<(Position | undefined)[]> => {
  const statement = new Statement(writes, lock)
  park(statement, writes)
  const changes = writes.map((write) => write.changes)
  changeRows(
    statement,
    table,
    changes.map((each) => ('counted' in each ? noRows : each)),
  )
  count(
    statement,
    table,
    changes.map((each) => ('counted' in each ? each.counted : [])),
  )
  const moved = await statement.run(
    sql,
    writes.every((write) => sizeOf(write) <= fewRows),
  )
  return writes.map(({ position, to }, index) => (moved.has(index + 1) ? movedTo(position, to) : undefined))
}

const noRows: RowChanges = { inserted: [], updated: [], deleted: [] }

const changeRows = (statement: Statement, table: Table, changes: readonly RowChanges[]): void => {
  const key = table.keys[0]!
  const columns = table.columns.map((column) => column.quoted)
  statement.add(
    'inserted',
    table.columns,
    changes.map(({ inserted }) => inserted),
    (rows) => `insert into ${table.name} (${columns.join(', ')}) select ${columns.join(', ')} from ${rows}`,
  )
  const set = table.others.map(({ quoted }) => `${quoted} = r.${quoted}`).join(', ')
  statement.add(
    'updated',
    table.columns,
    changes.map(({ updated }) => updated),
    (rows) => `update ${table.name} as t set ${set} from ${rows} and t.${key.quoted} = r.${key.quoted}`,
  )
  statement.add(
    'deleted',
    [key],
    changes.map(({ deleted }) => deleted.map((each) => ({ [key.name]: each }))),
    (rows) => `delete from ${table.name} as t using ${rows} and t.${key.quoted} = r.${key.quoted}`,
  )
}

const count = (statement: Statement, table: Table, counted: readonly (readonly Row[])[]): void => {
  const columns = table.columns.map((column) => column.quoted)
  const set = table.others.map(
    ({ quoted, measure }) => `${quoted} = ${combined(measure, `t.${quoted}`, `excluded.${quoted}`)}`,
  )
  statement.add(
    'counted',
    table.columns,
    counted,
    (
      rows,
    ) => `insert into ${table.name} as t (${columns.join(', ')}) select ${columns.join(', ')} from ${rows}
      on conflict (${table.keys.map((each) => each.quoted).join(', ')}) do update set ${set.join(', ')}`,
  )
}

/** Minima and maxima pass over null; a sum takes null as nothing. */
const combined = (measure: Measure | undefined, left: string, right: string): string =>
  measure === 'sum'
    ? `coalesce(${left} + ${right}, ${left}, ${right})`
    : `${measure === 'min' ? 'least' : 'greatest'}(${left}, ${right})`

const park = (statement: Statement, writes: readonly Write[]): void => {
  const letters = writes.flatMap((write) => write.letters)
  if (letters.length === 0) return
  const names = letterColumns.map(([name]) => name).join(', ')
  const arrays = letterArrays(letters).map((values, index) =>
    statement.parameter(values, letterColumns[index]![1]),
  )
  const nth = statement.nth(writes.map((write) => write.letters.length))
  statement.with(
    'parked',
    `insert into embudo.dead_letters (reader, generation, topic, partition, ${names})
    select m.reader, m.generation, m.topic, m.partition, ${letterColumns.map(([name]) => `r.${name}`).join(', ')}
    from unnest(${[...arrays, nth].join(', ')}) as r (${names}, nth) join moved as m on m.nth = r.nth
    on conflict do nothing`,
  )
}

class Statement {
  readonly #parameters: unknown[]
  readonly #parts: string[]

  constructor(writes: readonly Write[], lock: Parameters<typeof movedSql>[0]) {
    this.#parts = [movedSql(lock)]
    this.#parameters = movingParameters(writes)
  }

  /** Rows by the number of their write: `sql` is told where they come from, up to a condition. */
  add(
    name: string,
    columns: readonly TableColumn[],
    rowsOfEach: readonly (readonly Row[])[],
    sql: (rows: string) => string,
  ): void {
    const rows = rowsOfEach.flat()
    if (rows.length === 0) return
    const arrays = columns.map((column) => {
      const values = rows.map((row) => row[column.name])
      return this.parameter(arrayLiteral(values, column.type), column.type)
    })
    const nth = this.nth(rowsOfEach.map((each) => each.length))
    const names = columns.map((column) => column.quoted).join(', ')
    const from = `unnest(${[...arrays, nth].join(', ')}) as r (${names}, nth)`
    this.with(name, sql(`${from} where r.nth in (select nth from moved)`))
  }

  with(name: string, sql: string): void {
    this.#parts.push(`${name} as (${sql})`)
  }

  /** An array. */
  parameter(values: unknown, type: string): string {
    return `$${this.#parameters.push(values)}::${type}[]`
  }

  /** To which write each row belongs, where so many are each one's. */
  nth(counts: readonly number[]): string {
    const numbers = counts.flatMap((each, index) => new Array<number>(each).fill(index + 1))
    return this.parameter(arrayLiteral(numbers, 'integer'), 'integer')
  }

  /** The numbers of the positions that were moved. */
  async run(sql: Sql, isPrepared: boolean): Promise<Set<number>> {
    const text = `with ${this.#parts.join(',\n')}\nselect nth from moved`
    const { rows } = await sql.query<{ nth: number }>(
      isPrepared ? prepared(text, this.#parameters) : { text, values: this.#parameters },
    )
    return new Set(rows.map(({ nth }) => nth))
  }
}
