import { parsedJson } from '../parsed-json.ts'

/** One member of a JSON object as it is written: its value stands from `from` to before `to`. */
export interface Member {
  readonly key: string
  readonly from: number
  readonly to: number
}

/**
 * The members at the top of a JSON object, without their values being read: what is parsed and written again loses
 * keys that stand twice, and numbers that no double holds. Of anything but a JSON object it says nothing certain.
 */
export const membersOf = (text: string): Member[] => {
  const members: Member[] = []
  let at = pastSpace(text, pastSpace(text, 0) + 1)
  while (text.charCodeAt(at) === quote) {
    const keyEnd = pastText(text, at)
    const raw = text.slice(at, keyEnd)
    const key = raw.includes('\\') ? String(parsedJson(raw)) : raw.slice(1, -1)
    const from = pastSpace(text, pastSpace(text, keyEnd) + 1)
    const end = pastValue(text, from)
    members.push({ key, from, to: from + text.slice(from, end).trimEnd().length })
    at = pastSpace(text, pastSpace(text, end) + 1)
  }
  return members
}

export const pastValue = (text: string, from: number): number => {
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

export const pastSpace = (text: string, from: number): number => {
  let at = from
  for (;;) {
    const code = text.charCodeAt(at)
    if (code !== 32 && code !== 9 && code !== 13) return at
    at += 1
  }
}

const quote = 34
const comma = 44
const bracketOpen = 91
const backslash = 92
const bracketClose = 93
const braceOpen = 123
const braceClose = 125
