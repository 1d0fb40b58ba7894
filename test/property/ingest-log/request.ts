import { constants, gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { type Event, goodEvent, goodItem, type Item, jsonItem, lineItem } from './sent.ts'

/** A request with what it has to lead to. */
export interface Sent {
  readonly what: 'one' | 'array' | 'lines'
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
  readonly items: readonly Item[]
  /** How the body differs from what it says it is. */
  readonly damage: 'none' | 'cut off' | 'changed' | 'followed by more'
}

interface Plain extends Pick<Sent, 'what' | 'headers' | 'items'> {
  readonly bytes: Buffer
}

const typed = (...types: string[]): fc.Arbitrary<Record<string, string>> =>
  fc
    .tuple(
      fc.constantFrom(...types),
      fc.constantFrom('', '; charset=utf-8', ';charset="UTF-8"', ' ; charset=us-ascii', '; v="a;b"', ';'),
      fc.boolean(),
    )
    .map(([type, parameters, isShouted]) => ({
      'content-type': isShouted ? (type + parameters).toUpperCase() : type + parameters,
    }))

const space = fc.constantFrom('', ' ', '\n', '\r\n\t')

const one: fc.Arbitrary<Plain> = fc
  .tuple(
    typed('application/json', 'application/cloudevents+json'),
    jsonItem.filter(({ event }) => !Array.isArray(event)),
    space,
    space,
    fc.boolean(),
  )
  .map(([headers, item, before, after, hasMark]) => ({
    ...{ what: 'one', headers, items: [item] },
    bytes: Buffer.from(`${hasMark ? '\uFEFF' : ''}${before}${item.text}${after}`),
  }))

/** Attributes as headers: what they are not as text, they become. */
const binary: fc.Arbitrary<Plain> = fc
  .tuple(typed('application/json'), goodEvent)
  .map(([headers, { data, datacontenttype: _, ...attributes }]) => {
    const texts = Object.entries({ specversion: '1.0', ...attributes })
      .filter(([, value]) => value !== null)
      .map(([name, value]) => [name, String(value)] as const)
    const event: Event = { ...Object.fromEntries(texts), data }
    return {
      ...{ what: 'one' as const, bytes: Buffer.from(JSON.stringify(data)) },
      headers: {
        ...headers,
        ...Object.fromEntries(texts.map(([name, value]) => [`ce-${name}`, encodeURIComponent(value)])),
      },
      items: [{ text: '', event: JSON.parse(JSON.stringify(event)) as unknown, fate: 'accepted' as const }],
    }
  })

const array: fc.Arbitrary<Plain> = fc
  .tuple(
    typed('application/json', 'application/cloudevents-batch+json'),
    fc.array(jsonItem, { maxLength: 6 }),
    space,
  )
  .map(([headers, items, between]) => ({
    ...{ what: 'array', headers, items },
    bytes: Buffer.from(`[${between}${items.map(({ text }) => text).join(`${between},${between}`)}]`),
  }))

const lines: fc.Arbitrary<Plain> = fc
  .tuple(
    typed('application/x-ndjson'),
    fc.array(fc.oneof(lineItem, fc.constantFrom('', ' ', '\t')), { maxLength: 8 }),
    fc.constantFrom('\n', '\r\n'),
    fc.boolean(),
    fc.boolean(),
  )
  .map(([headers, parts, end, endsLast, hasMark]) => ({
    ...{ what: 'lines', headers },
    items: parts.filter((part) => typeof part !== 'string'),
    bytes: Buffer.from(
      (hasMark ? '\uFEFF' : '') +
        parts.map((part) => (typeof part === 'string' ? part : part.text)).join(end) +
        (endsLast ? end : ''),
    ),
  }))

/** Enough lines for several chunks of the log. */
const manyLines: fc.Arbitrary<Plain> = fc
  .tuple(fc.array(goodItem, { minLength: 5, maxLength: 5 }), fc.integer({ min: 50, max: 900 }))
  .map(([few, times]) => {
    const items = Array.from({ length: times }, () => few).flat()
    return {
      ...{ what: 'lines' as const, headers: { 'content-type': 'application/x-ndjson' }, items },
      bytes: Buffer.from(items.map(({ text }) => `${text}\n`).join('')),
    }
  })

const plain = fc.oneof(
  { weight: 20, arbitrary: one },
  { weight: 20, arbitrary: binary },
  { weight: 30, arbitrary: array },
  { weight: 40, arbitrary: lines },
  { weight: 1, arbitrary: manyLines },
)

const packed = (encoding: string, bytes: Buffer): Buffer => {
  if (encoding === 'identity') return bytes
  // Or a byte that is changed may go unnoticed by every standard.
  const checked = { params: { [constants.ZSTD_c_checksumFlag]: 1 } }
  return encoding === 'zstd' ? zstdCompressSync(bytes, checked) : gzipSync(bytes)
}

const spellings: Readonly<Record<string, readonly string[]>> = {
  identity: ['identity', ''],
  gzip: ['gzip', 'x-gzip', 'GZIP'],
  zstd: ['zstd', ' Zstd '],
}

/** Several members of gzip or frames of zstd behind one another are one body. */
export const sentRequest: fc.Arbitrary<Sent> = fc
  .tuple(
    plain,
    fc.constantFrom('identity', 'gzip', 'zstd'),
    fc.nat(),
    fc.array(fc.nat(), { maxLength: 3 }),
    fc.oneof(
      { weight: 6, arbitrary: fc.constant('none' as const) },
      {
        weight: 4,
        arbitrary: fc.constantFrom('cut off' as const, 'changed' as const, 'followed by more' as const),
      },
    ),
    fc.nat(),
  )
  .map(([{ bytes, headers, ...rest }, encoding, spelling, members, damage, place]) => {
    const said = spellings[encoding] ?? ['']
    const places = [0, ...members.map((at) => at % (bytes.length + 1)).sort((a, b) => a - b)]
    const body =
      encoding === 'identity'
        ? bytes
        : Buffer.concat(places.map((from, n) => packed(encoding, bytes.subarray(from, places[n + 1]))))
    const isDamageable = encoding !== 'identity' && body.length > 0
    return {
      ...rest,
      headers: { ...headers, 'content-encoding': said[spelling % said.length] ?? '' },
      body: isDamageable ? damaged(body, damage, place) : body,
      damage: isDamageable ? damage : 'none',
    }
  })

const damaged = (body: Buffer, damage: Sent['damage'], place: number): Buffer => {
  switch (damage) {
    case 'none':
      return body
    case 'cut off':
      return body.subarray(0, place % body.length)
    case 'changed': {
      const changed = Buffer.from(body)
      const at = place % body.length
      changed[at] = (changed[at] ?? 0) ^ (1 << (place % 8))
      return changed
    }
    case 'followed by more':
      return Buffer.concat([body, Buffer.from('{"type":')])
  }
}
