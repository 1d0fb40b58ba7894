import type { Row } from '../../define/read-model.ts'
import { arrayLiteral } from './array-literal.ts'
import type { TableColumn } from './table.ts'

/** Rows as a part of a statement, one array a column: `unnest(...) as r (...)`, with their places from 1 in `_at`. */
export const rowsSql = (
  columns: readonly TableColumn[],
  rows: readonly Row[],
): { readonly source: string; readonly values: string[] } => {
  const values = columns.map(({ name, type }) =>
    arrayLiteral(
      rows.map((row) => row[name]),
      type,
    ),
  )
  const arrays = columns.map(({ type }, index) => `$${index + 1}::${type}[]`)
  const names = columns.map(({ quoted }) => quoted)
  return {
    source: `unnest(${arrays.join(', ')}) with ordinality as r (${names.join(', ')}, _at)`,
    values,
  }
}
