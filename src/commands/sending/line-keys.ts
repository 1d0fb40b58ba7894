/** Which attributes a line of JSON already has, without parsing it. */
export const lineHas = { id: 1, source: 2, time: 4, anything: 8, nullId: 16, nullSource: 32 } as const

/**
 * The attributes at the top of an event as bits of `lineHas`; undefined for what is no JSON object, as far as
 * can be told without reading every value, and for what names one of them twice, which the server refuses. A key
 * with an escape in it is left to `JSON.parse`. Null is absence, but its key is there: `onNull` is told the bit
 * of the attribute and where its null stands.
 */
export const lineKeys = (
  text: string,
  onNull?: (attribute: number, at: number) => void,
): number | undefined => {
  if (text.charCodeAt(0) !== braceOpen) return undefined
  let at = space(text, 1)
  if (text.charCodeAt(at) === braceClose) return space(text, at + 1) === text.length ? 0 : undefined
  let found: number = lineHas.anything
  let seen = 0
  for (;;) {
    if (text.charCodeAt(at) !== quote) return undefined
    const keyEnd = text.indexOf('"', at + 1)
    if (keyEnd === -1) return undefined
    if (text.charCodeAt(keyEnd - 1) === backslash) return parsedKeys(text)
    const bit = bitOf(text, at + 1, keyEnd)
    if ((seen & bit & ~unsure) !== 0) return undefined
    seen |= bit
    at = space(text, keyEnd + 1)
    if (text.charCodeAt(at) !== colon) return undefined
    at = space(text, at + 1)
    if (text.charCodeAt(at) === letterN) {
      if (!text.startsWith('null', at)) return undefined
      found |= (bit & unsure) | nullOf(bit)
      if (nullOf(bit) !== 0) onNull?.(bit, at)
    } else found |= bit
    at = space(text, pastValue(text, at))
    const next = text.charCodeAt(at)
    if (next === braceClose) {
      if (space(text, at + 1) !== text.length) return undefined
      return (found & unsure) === 0 ? found : parsedKeys(text)
    }
    if (next !== comma) return undefined
    at = space(text, at + 1)
  }
}

const bitOf = (text: string, from: number, to: number): number => {
  if (to - from === 2) return text.startsWith('id', from) ? lineHas.id : 0
  if (to - from === 4) return text.startsWith('time', from) ? lineHas.time : 0
  if (to - from === 6) return text.startsWith('source', from) ? lineHas.source : 0
  return text.slice(from, to).includes('\\') ? unsure : 0
}

/** A bit for a key with an escape in it: it may yet be one of ours. */
const unsure = 64

/** Of an id or a source the bit that says that it is null. */
const nullOf = (bit: number): number => (bit & (lineHas.id | lineHas.source)) << 4

const parsedKeys = (text: string): number | undefined => {
  let event: unknown
  try {
    event = JSON.parse(text)
  } catch {
    return undefined
  }
  const { id, source, time } = event as { id?: unknown; source?: unknown; time?: unknown }
  return (
    lineHas.anything |
    (id === undefined ? 0 : id === null ? lineHas.nullId : lineHas.id) |
    (source === undefined ? 0 : source === null ? lineHas.nullSource : lineHas.source) |
    (time == null ? 0 : lineHas.time)
  )
}

const pastValue = (text: string, from: number): number => {
  const first = text.charCodeAt(from)
  if (first === quote) return pastText(text, from)
  if (first === braceOpen || first === bracketOpen) {
    let depth = 0
    for (let at = from; at < text.length; at++) {
      const code = text.charCodeAt(at)
      if (code === quote) at = pastText(text, at) - 1
      else if (code === braceOpen || code === bracketOpen) depth += 1
      else if (code === braceClose || code === bracketClose) {
        depth -= 1
        if (depth === 0) return at + 1
      }
    }
    return text.length
  }
  let at = from
  while (at < text.length && text.charCodeAt(at) !== comma && text.charCodeAt(at) !== braceClose) at += 1
  return at
}

const pastText = (text: string, from: number): number => {
  for (let end = text.indexOf('"', from + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let slashes = 0
    while (text.charCodeAt(end - 1 - slashes) === backslash) slashes += 1
    if (slashes % 2 === 0) return end + 1
  }
  return text.length
}

const space = (text: string, from: number): number => {
  let at = from
  for (;;) {
    const code = text.charCodeAt(at)
    if (code !== 32 && code !== 9 && code !== 13) return at
    at += 1
  }
}

const quote = 34
const comma = 44
const colon = 58
const bracketOpen = 91
const backslash = 92
const bracketClose = 93
const letterN = 110
const braceOpen = 123
const braceClose = 125
