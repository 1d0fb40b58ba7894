import { membersOf } from './members.ts'

/**
 * A line of JSON with values where it has null for an id or a source: a second member behind the rest would make
 * it invalid. The rest stays as it was written.
 */
export const withNullsFilled = (
  text: string,
  values: { readonly id: string; readonly source: string },
): string => {
  let filled = text
  for (const { key, from, to } of membersOf(text).reverse()) {
    if ((key !== 'id' && key !== 'source') || text.slice(from, to) !== 'null') continue
    filled = `${filled.slice(0, from)}${JSON.stringify(values[key])}${filled.slice(to)}`
  }
  return filled
}
