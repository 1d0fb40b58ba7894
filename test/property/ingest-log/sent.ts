import fc from 'fast-check'
import { eventSchemas, type SchemaField, type SchemaOfEvent } from './schemas.ts'

export type Event = Record<string, unknown> & { readonly data: Record<string, unknown> }

/** One thing sent: an event, or what is none. */
export interface Item {
  readonly text: string
  /** What a reader of JSON sees in it; undefined where it is no JSON. */
  readonly event: unknown
  readonly fate: 'accepted' | 'refused' | 'either'
}

export const schemas = new Map(eventSchemas().map((schema) => [schema.type, schema]))

const special = [
  '__proto__',
  'constructor',
  'emb1.x',
  'emb0.x',
  'null',
  '\uFEFF',
  '\u2028',
  ' x ',
  '%41',
  '"q"',
]

const text = fc
  .oneof(
    fc.string({ unit: 'grapheme', maxLength: 30 }),
    fc.string({ maxLength: 200 }),
    fc.constantFrom(...special),
  )
  .filter((value) => value.isWellFormed() && !value.includes('\0'))

const id = text.filter((value) => value !== '' && !value.includes('@') && !/%40/.test(value))

const fieldValue = (schema: SchemaOfEvent, field: SchemaField): fc.Arbitrary<unknown> => {
  const value = ownValue(schema, field)
  return field.isNullable
    ? fc.oneof({ weight: 4, arbitrary: value }, { weight: 1, arbitrary: fc.constant(null) })
    : value
}

const ownValue = (schema: SchemaOfEvent, { name, kind, ...bounds }: SchemaField): fc.Arbitrary<unknown> => {
  const { minimum, maximum } = bounds
  switch (kind.is) {
    case 'string':
      if (schema.ids.has(name)) return id
      if (bounds.oneOf !== undefined) return fc.constantFrom(...bounds.oneOf)
      return bounds.pattern === undefined ? text : fc.stringMatching(new RegExp(bounds.pattern))
    case 'long':
      return fc.integer({ min: minimum ?? -(2 ** 53 - 2), max: maximum ?? 2 ** 53 - 2 })
    case 'double':
      return fc.double({ min: minimum ?? -1e308, max: maximum ?? 1e308, noNaN: true })
    case 'boolean':
      return fc.boolean()
    case 'date':
      return fc
        .date({ min: new Date('1900-01-01'), max: new Date('2299-12-31'), noInvalidDate: true })
        .map((at) => at.toISOString().slice(0, 10))
    case 'texts':
      return fc.array(text, { maxLength: 4 })
    case 'doubles':
      return fc.dictionary(
        text.filter((key) => key !== '' && key !== '__proto__'),
        fc.double({ noNaN: true, noDefaultInfinity: true }),
        { maxKeys: 4, noNullPrototype: true },
      )
    case 'decimal':
      return fc.oneof(amountText(kind.precision, kind.scale), amountNumber)
  }
}

/** Digits as they come: zeros in front and behind, a sign before zero. */
const amountText = (precision: number, scale: number): fc.Arbitrary<string> =>
  fc
    .tuple(
      fc.integer({ min: 1, max: precision - scale }),
      fc.nat(scale),
      fc.bigInt({ min: 0n, max: 10n ** 18n }),
    )
    .map(([whole, fraction, digits]) => {
      const all = digits.toString().padStart(whole + fraction, '0')
      return fraction === 0
        ? all.slice(-whole)
        : `${all.slice(-(whole + fraction), -fraction)}.${all.slice(-fraction)}`
    })

const amountNumber = fc.oneof(
  fc.integer({ min: 0, max: 999_999_999 }),
  fc
    .integer({ min: 0, max: 2 ** 40 })
    .map((units) => Number(`${Math.floor(units / 10_000)}.${units % 10_000}`)),
)

const time = fc
  .record({
    at: fc.date({ min: new Date('1901-01-01'), max: new Date('2026-01-01'), noInvalidDate: true }),
    fraction: fc.stringMatching(/^(\.\d{1,9})?$/),
    zone: fc.constantFrom('Z', 'z', '+00:00', '-00:00', '+05:30', '-11:59', '+23:59'),
    t: fc.constantFrom('T', 't'),
  })
  .map(
    ({ at, fraction, zone, t }) =>
      `${at.toISOString().slice(0, 10)}${t}${at.toISOString().slice(11, 19)}${fraction}${zone}`,
  )

const extensionValue = fc.oneof(
  text.filter((value) => value.length <= 60),
  fc.integer(),
  fc.boolean(),
  fc.double({ min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER }),
)

const attribute = fc.oneof(
  id,
  fc.constantFrom('traceparent', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'),
)

const envelope = fc.record(
  {
    specversion: fc.constantFrom('1.0', null),
    id: fc.oneof(id, fc.uuid()),
    source: fc.constantFrom('zoom', 'https://crm.example/a?b#c', "urn:x:%41'()*", '//a/[b]', null),
    time: fc.oneof(time, fc.constant(null)),
    datacontenttype: fc.constantFrom('application/json', 'application/json; charset=utf-8', null),
    dataschema: fc.oneof(fc.webUrl(), fc.constant(null)),
    correlationid: attribute,
    causationid: attribute,
    traceparent: attribute,
    extensions: fc.dictionary(fc.stringMatching(/^ext[a-z0-9]{0,20}$/), extensionValue, {
      maxKeys: 4,
      noNullPrototype: true,
    }),
  },
  { requiredKeys: [], noNullPrototype: true },
)

/** An event that has to be taken. */
export const goodEvent: fc.Arbitrary<Event> = fc.constantFrom(...schemas.values()).chain((schema) =>
  fc
    .tuple(
      fc.record(Object.fromEntries(schema.fields.map((field) => [field.name, fieldValue(schema, field)])), {
        requiredKeys: schema.fields.filter(({ isNullable }) => !isNullable).map(({ name }) => name),
        noNullPrototype: true,
      }),
      envelope,
      fc.boolean(),
    )
    .map(([data, { extensions, ...attributes }, namesSubject]) => ({
      ...attributes,
      ...extensions,
      ...(namesSubject ? { subject: data[schema.key] } : {}),
      type: schema.type,
      data,
    })),
)

/** What has to be refused, as JSON in an array or a line. */
const noEvents = [
  '42',
  'null',
  '[]',
  '{}',
  '"text"',
  'true',
  '{"type":"webinar_attended"}',
  '{"type":"nothing","data":{}}',
]
/** What is no JSON at all. */
const noJson = ['{', 'nope', '{"type":"webinar_attended",', "{'a':1}", '[1,]', '\u00a0', 'NaN', '"\u0001"']

const oddValue = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  fc.constantFrom<unknown>(
    2 ** 53,
    -0,
    1e308,
    5e-324,
    1.5,
    -1,
    '\ud800',
    'a\0b',
    'a@b.example',
    '',
    ' ',
    [],
    {},
    '1e3',
    '-0.00',
    '0x10',
  ),
  fc.string({ minLength: 200, maxLength: 70_000, unit: fc.constantFrom('a', 'é', '😀') }),
  fc.constantFrom(
    ...[
      '2026-02-30T00:00:00Z',
      '2026-01-01T24:00:00Z',
      '2026-06-30T23:59:60Z',
      '0000-01-01T00:00:00Z',
      '2026-01-01',
    ],
    ...[
      '2026-01-01T00:00:00',
      '1899-12-31T23:59:59.9999Z',
      '2026-01-01T00:00:00.123456789123456789Z',
      '9999-12-31T23:59:59-23:59',
    ],
  ),
)

/** A good event with one thing changed for any other: it may be taken, and then as it is. */
const oddEvent: fc.Arbitrary<unknown> = fc
  .tuple(goodEvent, oddValue, fc.nat(), fc.integer({ min: 0, max: 2 }))
  .map(([event, value, n, where]) => {
    const names = where === 0 ? Object.keys(event.data) : [...attributes]
    const name = names[n % names.length] ?? 'data'
    const changed = structuredClone(event)
    Object.defineProperty(where === 0 ? changed.data : changed, name, {
      ...{ value, enumerable: true, configurable: true, writable: true },
    })
    return changed
  })

const attributes = [
  ...[
    'specversion',
    'id',
    'source',
    'type',
    'time',
    'subject',
    'datacontenttype',
    'dataschema',
    'correlationid',
  ],
  ...[
    'causationid',
    'traceparent',
    'data',
    'data_base64',
    'x',
    'tostring',
    'constructor',
    '__proto__',
    'X',
    'a-b',
    '',
  ],
]

const item = (json: fc.Arbitrary<unknown>, fate: Item['fate']): fc.Arbitrary<Item> =>
  json.map((value) => {
    const text = JSON.stringify(value)
    return { text, event: JSON.parse(text) as unknown, fate }
  })

export const goodItem = item(goodEvent, 'accepted')
export const jsonItem: fc.Arbitrary<Item> = fc.oneof(
  { weight: 5, arbitrary: goodItem },
  { weight: 4, arbitrary: item(oddEvent, 'either') },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom(...noEvents)
      .map((text) => ({ text, event: JSON.parse(text) as unknown, fate: 'refused' as const })),
  },
)
export const lineItem: fc.Arbitrary<Item> = fc.oneof(
  { weight: 9, arbitrary: jsonItem },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom(...noJson)
      .map((text) => ({ text, event: undefined, fate: 'refused' as const })),
  },
)
