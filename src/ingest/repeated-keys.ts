import { setImmediate as nextTurn } from 'node:timers/promises'
import { type EventError, eventError } from './event-error.ts'

/**
 * JSON.parse takes the last of two values under one key and says nothing of the first; here such an event is
 * refused. The parsed value has fewer strings than its text then, keys included, and strings are counted fast:
 * only where the counts differ does somebody look for the key. Made for one piece of bytes that holds JSON.
 */
export class RepeatedKeys {
  readonly bytes: Buffer
  /** The same bytes, four at a time, from the first place that allows it. */
  readonly #words: Int32Array
  readonly #wordsAt: number
  readonly #hasEscapes: boolean

  constructor(bytes: Buffer) {
    this.bytes = bytes
    this.#wordsAt = Math.min(-bytes.byteOffset & 3, bytes.length)
    const words = (bytes.length - this.#wordsAt) >> 2
    this.#words =
      words === 0 ? noWords : new Int32Array(bytes.buffer, bytes.byteOffset + this.#wordsAt, words)
    this.#hasEscapes = bytes.includes(backslash)
  }

  /** `value` is what the JSON from `from` to `to` was parsed to. Never false where a key is repeated. */
  mayBeIn(value: unknown, from = 0, to = this.bytes.length): boolean {
    const quotes = this.#hasEscapes ? this.#unescapedQuotes(from, to) : this.#quotes(from, to)
    return quotes !== 2 * stringsIn(value, depthOfEvents)
  }

  #unescapedQuotes(from: number, to: number): number {
    const text = this.bytes.toString('latin1', from, to)
    return text.includes('\\') ? text.replaceAll(/\\./gs, '').split('"').length - 1 : this.#quotes(from, to)
  }

  #quotes(from: number, to: number): number {
    const begin = Math.max(0, from - this.#wordsAt + 3) >> 2
    const end = (to - this.#wordsAt) >> 2
    if (end <= begin) return this.#quotesByByte(from, to)
    const words = this.#words
    let count = 0
    for (let at = begin; at < end; at++) {
      const differs = words[at]! ^ fourQuotes
      // The highest bit of each byte that does not differ.
      const equal = ~(((differs & 0x7f7f7f7f) + 0x7f7f7f7f) | differs | 0x7f7f7f7f)
      count += Math.imul(equal >>> 7, 0x01010101) >>> 24
    }
    const before = this.#quotesByByte(from, this.#wordsAt + 4 * begin)
    return before + count + this.#quotesByByte(this.#wordsAt + 4 * end, to)
  }

  #quotesByByte(from: number, to: number): number {
    let count = 0
    for (let at = from; at < to; at++) if (this.bytes[at] === quote) count++
    return count
  }
}

/**
 * Each key that its object has already, as the way to it: good until the next one. The JSON is valid. Nothing is
 * remembered deeper than events are: what is there is refused for being there. Between two of so many characters
 * others may be answered: undefined.
 */
function* repeatedKeys(text: string): Iterable<readonly Scope[] | undefined> {
  const open: Scope[] = []
  let pauseAt = charactersATurn
  for (let at = 0; at < text.length; at++) {
    if (at >= pauseAt) {
      pauseAt = at + charactersATurn
      yield undefined
    }
    const scope = open.at(-1)
    switch (text[at]) {
      case '{':
        open.push({ keys: open.length < depthOfEvents ? new Set() : undefined, place: '', isAtKey: true })
        break
      case '[':
        open.push({ keys: undefined, place: 0, isAtKey: false })
        break
      case '}':
      case ']':
        open.pop()
        break
      case ',':
        if (typeof scope?.place === 'number') scope.place++
        else if (scope !== undefined) scope.isAtKey = true
        break
      case '"': {
        const end = stringEnd(text, at)
        if (scope?.isAtKey) {
          const written = text.slice(at + 1, end - 1)
          const key = written.includes('\\') ? (JSON.parse(`"${written}"`) as string) : written
          scope.place = key
          scope.isAtKey = false
          if (scope.keys?.has(key)) yield open
          scope.keys?.add(key)
        }
        at = end - 1
      }
    }
  }
}

/** Of a body for which `mayBeIn` was true: an event, or events by their index in a list, and why each is refused. */
export const repeatedKeysIn = async (body: Buffer): Promise<ReadonlyMap<number, EventError> | undefined> => {
  const errors = new Map<number, EventError>()
  for (const way of repeatedKeys(body.toString('utf8'))) {
    if (way === undefined) {
      await nextTurn()
      continue
    }
    const index = way[0]?.place
    if (typeof index !== 'number') return new Map([[0, repeatedKey(way)]])
    if (!errors.has(index)) errors.set(index, repeatedKey(way.slice(1)))
  }
  return errors.size === 0 ? undefined : errors
}

/** In one line, for which `mayBeIn` was true. */
export const repeatedKeyIn = (line: string): EventError | undefined => {
  for (const way of repeatedKeys(line)) if (way !== undefined) return repeatedKey(way)
  return undefined
}

const repeatedKey = (way: readonly Scope[]): EventError =>
  eventError(
    'duplicate_key',
    way.map(pointerTo).join(''),
    'expected each key once in an object, got it twice: which of the two values counts cannot be told',
  )

const pointerTo = ({ place }: Scope): string =>
  `/${String(place).slice(0, 64).replaceAll('~', '~0').replaceAll('/', '~1')}`

interface Scope {
  /** Undefined in a list, and deeper than events are. */
  readonly keys: Set<string> | undefined
  /** The key or index where the scan is. */
  place: string | number
  isAtKey: boolean
}

/** One past the closing quote. */
const stringEnd = (text: string, start: number): number => {
  for (let end = text.indexOf('"', start + 1); ; end = text.indexOf('"', end + 1)) {
    let slashes = end
    while (text[slashes - 1] === '\\') slashes--
    if ((end - slashes) % 2 === 0) return end + 1
  }
}

/** Keys included. Not a number where the value is deeper than any event. */
const stringsIn = (value: unknown, depth: number): number => {
  if (typeof value === 'string') return 1
  if (typeof value !== 'object' || value === null) return 0
  if (depth === 0) return Number.NaN
  let count = 0
  if (Array.isArray(value)) {
    for (const item of value) count += stringsIn(item, depth - 1)
    return count
  }
  for (const key in value) count += 1 + stringsIn((value as Record<string, unknown>)[key], depth - 1)
  return count
}

/** In a list: the event, its data, a field that is a map or a list. */
const depthOfEvents = 4

const charactersATurn = 256 * 1024

const quote = 0x22
const fourQuotes = 0x22222222
const backslash = 0x5c
const noWords = new Int32Array(0)
