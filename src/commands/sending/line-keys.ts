import { parsedJson } from '../parsed-json.ts'
import { pastSpace, pastValue } from './members.ts'

/** Which attributes a line of JSON already has, without parsing it. */
export const lineHas = { id: 1, source: 2, time: 4, anything: 8, nullId: 16, nullSource: 32 } as const

/**
 * The attributes at the top of an event as bits of `lineHas`; undefined for what is no JSON object, as far as
 * can be told without reading every value, and for what names one of them twice, which the server refuses. A key
 * with an escape in it is left to `JSON.parse`. Null is absence, but its key is there.
 */
export const lineKeys = (text: string): number | undefined => {
  if (text.charCodeAt(0) !== braceOpen) return undefined
  let at = pastSpace(text, 1)
  if (text.charCodeAt(at) === braceClose) return pastSpace(text, at + 1) === text.length ? 0 : undefined
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
    at = pastSpace(text, keyEnd + 1)
    if (text.charCodeAt(at) !== colon) return undefined
    at = pastSpace(text, at + 1)
    if (text.charCodeAt(at) === letterN) {
      if (!text.startsWith('null', at)) return undefined
      found |= (bit & unsure) | nullOf(bit)
    } else found |= bit
    at = pastSpace(text, pastValue(text, at))
    const next = text.charCodeAt(at)
    if (next === braceClose) {
      if (pastSpace(text, at + 1) !== text.length) return undefined
      return (found & unsure) === 0 ? found : parsedKeys(text)
    }
    if (next !== comma) return undefined
    at = pastSpace(text, at + 1)
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
  const event = parsedJson(text)
  if (event === undefined) return undefined
  const { id, source, time } = event as { id?: unknown; source?: unknown; time?: unknown }
  return (
    lineHas.anything |
    (id === undefined ? 0 : id === null ? lineHas.nullId : lineHas.id) |
    (source === undefined ? 0 : source === null ? lineHas.nullSource : lineHas.source) |
    (time == null ? 0 : lineHas.time)
  )
}

const quote = 34
const comma = 44
const colon = 58
const backslash = 92
const letterN = 110
const braceOpen = 123
const braceClose = 125
