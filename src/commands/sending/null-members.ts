import { lineHas, lineKeys } from './line-keys.ts'

/**
 * A line of JSON with values where it has null for an id or a source: a second member behind the rest would make
 * it invalid. The rest stays as it was written, unless a key is written with an escape.
 */
export const withNullsFilled = (
  text: string,
  values: { readonly id: string; readonly source: string },
): string => {
  const nulls: { readonly value: string; readonly at: number }[] = []
  lineKeys(text, (attribute, at) =>
    nulls.push({ value: attribute === lineHas.id ? values.id : values.source, at }),
  )
  let filled = text
  for (const { value, at } of nulls.reverse()) {
    filled = `${filled.slice(0, at)}${JSON.stringify(value)}${filled.slice(at + 'null'.length)}`
  }
  const left = (lineKeys(filled) ?? 0) & (lineHas.nullId | lineHas.nullSource)
  if (left === 0) return filled
  const event: unknown = JSON.parse(filled)
  return JSON.stringify({
    ...(event as object),
    ...((left & lineHas.nullId) === 0 ? {} : { id: values.id }),
    ...((left & lineHas.nullSource) === 0 ? {} : { source: values.source }),
  })
}
