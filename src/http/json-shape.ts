import { EmbudoError } from '../define/error.ts'

/** What JSON will take once it is parsed, told by its brackets and commas. */
export interface JsonShape {
  /** Of the outermost list, or none. */
  readonly items: number
  /** Objects and lists, however deep. */
  readonly containers: number
}

/**
 * Of bytes that are many; undefined of few, which cannot cost much. Throws `too_deep`: millions of brackets take
 * JSON.parse seconds and a hundred times their memory. Looks at each byte once; what is no JSON, JSON.parse refuses.
 */
export const jsonShape = (bytes: Buffer): JsonShape | undefined => {
  if (bytes.length < manyBytes) return undefined
  const shape = shapeOf(bytes)
  if (shape === undefined) throw new EmbudoError('too_deep', tooDeepDetail)
  return shape
}

/** Of one line; never true of a short one. */
export const isTooDeep = (bytes: Buffer, from = 0, to: number = bytes.length): boolean =>
  to - from >= manyBytes && shapeOf(bytes.subarray(from, to)) === undefined

export const tooDeepDetail = 'expected objects and lists nested at most 64 levels deep, got more'

const shapeOf = (bytes: Buffer): JsonShape | undefined => {
  let depth = 0
  let containers = 0
  let commas = 0
  let first = 0
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]
    if (byte === quote) {
      at = stringEnd(bytes, at + 1)
    } else if (byte === openList || byte === openObject) {
      if (++depth > maxDepth) return undefined
      containers += 1
      if (first === 0) first = byte
    } else if (byte === closeList || byte === closeObject) {
      depth -= 1
    } else if (byte === comma && depth === 1) {
      commas += 1
    }
  }
  return { items: first === openList ? commas + 1 : 0, containers }
}

/** Where the closing quote is. */
const stringEnd = (bytes: Buffer, from: number): number => {
  let at = from
  for (; at < bytes.length; at++) {
    const byte = bytes[at]
    if (byte === quote) break
    if (byte === backslash) at += 1
  }
  return at
}

const maxDepth = 64
const manyBytes = 64 * 1024
const quote = 0x22
const comma = 0x2c
const openList = 0x5b
const backslash = 0x5c
const closeList = 0x5d
const openObject = 0x7b
const closeObject = 0x7d
