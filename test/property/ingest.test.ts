import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import * as generated from '../../schemas/events.generated.ts'
import { catalogOf, type EventDefinition } from '../../src/define/catalog.ts'
import type { Field } from '../../src/define/field.ts'
import { fromUnits, toUnits } from '../../src/define/money.ts'
import type { EventError } from '../../src/ingest/event-error.ts'
import { exampleEvent } from '../../src/ingest/example.ts'
import { NdjsonLines } from '../../src/ingest/ndjson.ts'
import { eventValidator } from '../../src/ingest/validate.ts'
import { Codec } from '../../src/log/codec.ts'
import { decodeBatches } from '../../src/log/decode-batch.ts'
import { encodeBatch } from '../../src/log/encode-batch.ts'
import { recordEncoder } from '../../src/log/event-record.ts'
import { passThrough } from '../../src/privacy/pass-through.ts'

const catalog = catalogOf(generated)
const events = [...catalog.events.values()]
const ids = new Map(
  events
    .flatMap(({ type, versions }) => versions.map(({ version }) => `${type}/${version}`))
    .map((name, n) => [name, n]),
)
const codec = new Codec(catalog, ids, () => Promise.reject(new Error('every schema is known')))
const nowMs = () => Date.UTC(2026, 10, 20)
const validate = eventValidator({ catalog, personal: passThrough, nowMs, newId: () => 'new' })
const toRecord = recordEncoder(codec, 'embudo.')
const sender = { source: 'http', traceparent: undefined }

const text = fc
  .string({ unit: 'grapheme', maxLength: 40 })
  .filter((value) => value.isWellFormed() && !value.includes('\0'))

const fieldValue = (event: EventDefinition, field: Field): fc.Arbitrary<unknown> => {
  const bounds = {
    min: field.minimum ?? -1e15,
    max: field.maximum ?? 1e15,
    noNaN: true,
    noDefaultInfinity: true,
  }
  switch (field.kind.is) {
    case 'string':
      if (field.name === event.topic.subject || field.name === event.topic.joinsOn)
        return text.filter((id) => id !== '' && !id.includes('@'))
      if (field.oneOf !== undefined) return fc.constantFrom(...field.oneOf)
      if (field.pattern !== undefined) return fc.stringMatching(new RegExp(field.pattern))
      return fc.oneof(text, fc.constantFrom('emb1.x', 'emb0.x', '__proto__', 'constructor'))
    case 'integer':
      return fc.integer({
        min: field.minimum ?? Number.MIN_SAFE_INTEGER,
        max: field.maximum ?? Number.MAX_SAFE_INTEGER,
      })
    case 'double':
      return fc.double(bounds)
    case 'boolean':
      return fc.boolean()
    case 'date':
      return fc
        .date({ min: new Date('1900-01-01'), max: new Date('2299-12-31'), noInvalidDate: true })
        .map((at) => at.toISOString().slice(0, 10))
    case 'strings':
      return fc.array(text, { maxLength: 5 })
    case 'doubles':
      return fc.dictionary(
        text.filter((key) => key !== '' && key !== '__proto__'),
        fc.double(bounds),
        { maxKeys: 5 },
      )
    case 'decimal': {
      const { precision, scale } = field.kind
      return fc
        .bigInt({ min: 0n, max: 10n ** BigInt(precision) - 1n })
        .map((units) => fromUnits(units, scale))
    }
  }
}

const anyEvent = fc.constantFrom(...events).chain((event) =>
  fc
    .tuple(
      fc.record(Object.fromEntries(event.fields.map((field) => [field.name, fieldValue(event, field)])), {
        requiredKeys: event.fields.filter(({ nullable }) => !nullable).map(({ name }) => name),
      }),
      fc.record(
        {
          id: text.filter((id) => id !== ''),
          source: fc.constantFrom('zoom', 'https://crm.example/a?b#c'),
          correlationid: text.filter((id) => id !== ''),
        },
        { requiredKeys: [] },
      ),
    )
    .map(([data, envelope]) => ({ event, sent: { ...envelope, type: event.type, data } })),
)

describe('accepted events', () => {
  it('decode back equal to what was sent', async () => {
    await fc.assert(
      fc.asyncProperty(anyEvent, async ({ event, sent }) => {
        const wire = JSON.parse(JSON.stringify(sent)) as typeof sent
        const valid = validate(structuredClone(wire), sender)
        if ('refused' in valid) throw new Error(JSON.stringify(valid.refused))
        const record = toRecord(valid)
        const [appended] = decodeBatches(encodeBatch([record], 0))
        const read = codec.event(appended!, record.topic, 0)
        expect(read.subject).toBe((wire.data as Record<string, unknown>)[event.topic.subject])
        expect([read.type, read.id, read.source]).toEqual([
          wire.type,
          wire.id ?? 'new',
          wire.source ?? 'http',
        ])
        expect(read.correlationId).toBe(wire.correlationid)
        for (const field of event.fields) {
          const want = (wire.data as Record<string, unknown>)[field.name] ?? null
          const kept = read.data[field.name] as string | null
          const has = field.personal === undefined ? kept : (await passThrough.open([kept]))[0]
          if (field.kind.is === 'decimal')
            expect(toUnits(String(has), field.kind.scale)).toBe(toUnits(String(want), field.kind.scale))
          else if (field.kind.is === 'doubles') expect({ ...(has as object | null) }).toEqual(want)
          else expect(has).toEqual(want)
        }
      }),
      { numRuns: 500 },
    )
  })

  it('one value changed for any other: accepted and encodable, or refused with a code and a field', () => {
    const values = fc.oneof(
      fc.jsonValue({ maxDepth: 3 }),
      fc.constantFrom(2 ** 53, -0, 1e308, '\ud800', '\0', 'a@b.example', [], {}),
    )
    const change = fc
      .constantFrom(...events)
      .chain((event) =>
        fc
          .tuple(
            fc.constantFrom(...event.fields.map(({ name }) => name), 'other', '__proto__', 'constructor'),
            values,
            fc.constantFrom('id', 'time', 'source', 'type', 'data', 'subject', 'x', 'X'),
            values,
            fc.boolean(),
          )
          .map((rest) => ({ event, rest })),
      )
    fc.assert(
      fc.property(change, ({ event, rest: [field, value, attribute, other, inData] }) => {
        const sent = exampleEvent(event) as unknown as Record<string, unknown>
        if (inData)
          Object.defineProperty(sent.data, field, {
            value,
            enumerable: true,
            configurable: true,
            writable: true,
          })
        else sent[attribute] = other
        const answer = validate(sent, sender)
        if (!('refused' in answer)) return void toRecord(answer)
        expect(answer.refused.code).toMatch(/^[a-z_]+$/)
        expect(answer.refused.field).toMatch(/^(\/.*)?$/s)
        expect(answer.refused.detail).toMatch(/^expected /)
      }),
      { numRuns: 2_000 },
    )
  })

  it('any JSON is answered', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
        expect(validate(value, sender)).toHaveProperty('refused')
      }),
      { numRuns: 1_000 },
    )
  })
})

describe('lines', () => {
  const cut = (pieces: readonly Buffer[], maxLineBytes: number, fullEvery = Number.POSITIVE_INFINITY) => {
    const seen: unknown[] = []
    let count = 0
    const take = (what: unknown) => {
      seen.push(what)
      count++
    }
    const lines = new NdjsonLines(
      {
        line: take,
        refuse: ({ code }: EventError) => take({ refused: code }),
        get isFull() {
          return count >= fullEvery
        },
      },
      maxLineBytes,
    )
    for (const piece of pieces) {
      let rest = lines.push(piece)
      while (count >= fullEvery) {
        count = 0
        rest = lines.push(rest)
      }
      expect(rest.length).toBe(0)
    }
    lines.end()
    return seen
  }

  it('come out the same wherever the body is cut, and however often it has to wait', () => {
    const line = fc.oneof(
      fc.jsonValue({ maxDepth: 1 }).map((value) => Buffer.from(JSON.stringify(value))),
      fc
        .constantFrom('', ' ', '\r', 'nope', '{"a":"é😀"}', `"${'x'.repeat(80)}"`, '{"a":1}\r')
        .map((own) => Buffer.from(own)),
      fc.constant(Buffer.from([0x22, 0xff, 0x22])),
    )
    fc.assert(
      fc.property(
        fc.array(line, { maxLength: 12 }),
        fc.array(fc.nat(400)),
        fc.boolean(),
        fc.integer({ min: 1, max: 4 }),
        (lines, cuts, ends, fullEvery) => {
          const body = Buffer.concat(
            lines.flatMap((own, n) => (n < lines.length - 1 || ends ? [own, Buffer.from('\n')] : [own])),
          )
          const places = [...new Set(cuts.map((at) => Math.min(at, body.length)))].sort((a, b) => a - b)
          const pieces = [0, ...places].map((at, n) => body.subarray(at, places[n] ?? body.length))
          const whole = cut([body], 64)
          expect(cut(pieces, 64)).toEqual(whole)
          expect(cut(pieces, 64, fullEvery)).toEqual(whole)
          expect(
            cut(
              [...body].map((byte) => Buffer.from([byte])),
              64,
            ),
          ).toEqual(whole)
        },
      ),
      { numRuns: 500 },
    )
  })
})
