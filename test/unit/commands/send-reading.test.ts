import { describe, expect, it } from 'vitest'
import { secondsOf } from '../../../src/commands/sending/attendance.ts'
import { contentId, digest } from '../../../src/commands/sending/content-id.ts'
import { leadIdOfAddress } from '../../../src/commands/sending/lead-id.ts'
import { lineHas, lineKeys } from '../../../src/commands/sending/line-keys.ts'
import { AmbiguousNumber, plainNumber } from '../../../src/commands/sending/local-number.ts'
import { instantOf } from '../../../src/commands/sending/local-time.ts'
import { membersOf } from '../../../src/commands/sending/members.ts'
import { withNullsFilled } from '../../../src/commands/sending/null-members.ts'
import { Occurrences } from '../../../src/commands/sending/occurrences.ts'
import { rejectedEvent } from '../../../src/commands/sending/rejects.ts'
import { textLines } from '../../../src/commands/sending/text-lines.ts'

const utc = { timeZone: 'UTC', dayFirst: false }
const berlin = { timeZone: 'Europe/Berlin', dayFirst: false }

describe('a time in an export', () => {
  it.each([
    ['Nov 20, 2026 10:00:00 AM', '2026-11-20T10:00:00.000Z'],
    ['Nov 20, 2026 7:13 PM', '2026-11-20T19:13:00.000Z'],
    ['Nov 20, 2026 19:13:27', '2026-11-20T19:13:27.000Z'],
    ['11/20/2026 10:00:00 AM', '2026-11-20T10:00:00.000Z'],
    ['11/20/2026 12:05:00 AM', '2026-11-20T00:05:00.000Z'],
    ['3/5/2026 2:30 PM', '2026-03-05T14:30:00.000Z'],
    ['20.11.2026 10:00', '2026-11-20T10:00:00.000Z'],
    ['2026-11-20 10:00', '2026-11-20T10:00:00.000Z'],
    ['2026-11-20T10:00:01', '2026-11-20T10:00:01.000Z'],
    ['2026-11-20T10:00:00+01:00', '2026-11-20T09:00:00.000Z'],
    ['20 November 2026 10:00\u202FAM', '2026-11-20T10:00:00.000Z'],
    ['2026-11-20', '2026-11-20T00:00:00.000Z'],
  ])('%s', (text, instant) => expect(instantOf(text, utc)).toBe(instant))

  it.each(['20/11/2026 10:00', '02/30/2026 10:00', '25:00', 'yesterday', '11/20/2026 13:00 PM', ''])(
    'is none: %s',
    (text) => expect(instantOf(text, utc)).toBeUndefined(),
  )

  it('is of the zone that is named, in summer and in winter', () => {
    expect(instantOf('07/01/2026 10:00', berlin)).toBe('2026-07-01T08:00:00.000Z')
    expect(instantOf('12/01/2026 10:00', berlin)).toBe('2026-12-01T09:00:00.000Z')
    expect(instantOf('01/12/2026 10:00', { ...berlin, dayFirst: true })).toBe('2026-12-01T09:00:00.000Z')
  })

  it('is the first of the two where the clock goes back, and goes on where it jumps', () => {
    expect(instantOf('10/25/2026 02:30', berlin)).toBe('2026-10-25T00:30:00.000Z')
    expect(instantOf('03/29/2026 02:30', berlin)).toBe('2026-03-29T01:30:00.000Z')
  })
})

describe('a number in a cell', () => {
  it.each([
    ['1,234.50', '1234.50'],
    ['1.234,50', '1234.50'],
    ['1,234.567', '1234.567'],
    ['1.234.567', '1234567'],
    ['1,234,567', '1234567'],
    ['0,83', '0.83'],
    ['0.125', '0.125'],
    ['-0,125', '-0.125'],
    ['1234.567', '1234.567'],
    ['1 234,567', '1234.567'],
    ['49.00', '49.00'],
    ['-7', '-7'],
    ['long', undefined],
  ])('%s says itself what it is', (cell, number) => {
    for (const decimal of [undefined, ',', '.'] as const) expect(plainNumber(cell, decimal)).toBe(number)
  })

  it.each([
    ['1.234', '1.234', '1234'],
    ['1,234', '1.234', '1234'],
    ['-12,500', '-12.500', '-12500'],
    ['100.000', '100.000', '100000'],
  ])('%s may be one of two until somebody says', (cell, decimals, thousands) => {
    const read = plainNumber(cell, undefined)
    expect(read).toBeInstanceOf(AmbiguousNumber)
    expect(JSON.stringify(read)).toBe(`"${decimals} or ${thousands}"`)
    const mark = cell.includes(',') ? ',' : '.'
    expect(plainNumber(cell, mark)).toBe(decimals)
    expect(plainNumber(cell, mark === ',' ? '.' : ',')).toBe(thousands)
  })
})

describe('what a line has', () => {
  const { id, source, time, anything, nullId, nullSource } = lineHas
  it.each([
    ['{"id":"1","source":"zoom","data":{}}', anything | id | source],
    ['{ "time" : "t" , "data" : { "id" : 1, "x": "\\"}" } }', anything | time],
    ['{"data":{"id":"1","source":"2"}}', anything],
    ['{"id":null,"source":"zoom"}', anything | source | nullId],
    ['{"source": null }', anything | nullSource],
    ['{"id":"1","id":null}', undefined],
    ['{"id":nul}', undefined],
    ['{}', 0],
    ['[1]', undefined],
    ['{"id":"1"', undefined],
    ['{"id":"1"} x', undefined],
    ['no json', undefined],
  ])('%s', (text, keys) => expect(lineKeys(text)).toBe(keys))

  it('is told of keys with escapes as well', () => {
    expect(lineKeys('{"\\u0069d":"1"}')).toBe(anything | id)
    expect(lineKeys('{"a\\"b":1,"id":"1"}')).toBe(anything | id)
    expect(lineKeys('{"\\u0069d":null}')).toBe(anything | nullId)
  })
})

describe('the members of a line', () => {
  it('are told as they are written', () => {
    const text = ' { "a" : 1e999 ,"\\u0069d":null,"b":{"id":"}"}, "a\\"":[1, {"x":"]"}] , "id": "é" } '
    expect(membersOf(text).map(({ key, from, to }) => [key, text.slice(from, to)])).toEqual([
      ['a', '1e999'],
      ['id', 'null'],
      ['b', '{"id":"}"}'],
      ['a"', '[1, {"x":"]"}]'],
      ['id', '"é"'],
    ])
    expect(membersOf('{ }')).toEqual([])
  })

  it('keep all that they say where a null is filled', () => {
    const values = { id: 'new', source: 'zoom' }
    expect(withNullsFilled('{"\\u0069d":null,"n":1e999,"n":2,"source" : null}', values)).toBe(
      '{"\\u0069d":"new","n":1e999,"n":2,"source" : "zoom"}',
    )
    expect(withNullsFilled('{"\\q":1,"id":null}', values)).toBe('{"\\q":1,"id":"new"}')
  })
})

describe('a line of a file of rejects', () => {
  const why = '"code":"line_too_large","field":"","detail":"too long","file":"a","line":1'
  const sentAgain = (text: string) => rejectedEvent({ number: 1, text })

  it.each([
    '{"id":"1","id":"2","data":{"n":1e999, "a" :1,"a":2}}',
    '{"id":"1","data":{"value":49.10}}',
    'null',
  ])('is sent again as it is written: %s', (event) => {
    expect(sentAgain(`{${why},"event": ${event} }`).text).toBe(event)
    expect(sentAgain(`{"event":${event},${why},"row":{"event":"no"}}`).text).toBe(event)
  })

  it('stays refused for the same reason where nothing was kept of it', () => {
    for (const text of ['', '  ', '\\n'])
      expect(sentAgain(`{${why},"text":"${text}"}`)).toEqual({
        number: 1,
        text: '',
        refused: { code: 'line_too_large', field: '', detail: 'too long' },
      })
    expect(sentAgain(`{${why},"text":"{\\n1"}`)).toEqual({ number: 1, text: '{ 1' })
  })
})

describe('ids of contents', () => {
  it('count what is said again, in two generations of memory', () => {
    const occurrences = new Occurrences(4)
    const next = (n: number) => occurrences.next(digest(String(n), undefined))
    expect([next(1), next(1), next(2), next(1)]).toEqual([0, 1, 0, 2])
    for (let n = 10; n < 14; n++) next(n)
    expect(next(1)).toBe(3)
    for (let n = 20; n < 40; n++) next(n)
    expect(next(1)).toBe(0)
  })

  it('are UUIDs that depend on the content and on how often it was said', () => {
    const content = digest('a', undefined)
    expect(contentId(content, 0)).toMatch(
      /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    )
    expect(
      new Set([contentId(content, 0), contentId(content, 1), contentId(digest('b', undefined), 0)]).size,
    ).toBe(3)
  })

  it('are the same for an address in any case, and others with a secret', () => {
    expect(leadIdOfAddress(' Ada@Example.COM ', undefined)).toBe(
      leadIdOfAddress('ada@example.com', undefined),
    )
    expect(leadIdOfAddress('ada@example.com', 'pepper')).not.toBe(
      leadIdOfAddress('ada@example.com', undefined),
    )
  })
})

describe('stays in a webinar', () => {
  it('cover each second once, and add what has no times', () => {
    const at = (minute: number) => minute * 60_000
    const stays = [
      { fromMs: at(20), toMs: at(30), seconds: 600 },
      { fromMs: at(0), toMs: at(10), seconds: 600 },
      { fromMs: at(5), toMs: at(12), seconds: 420 },
      { fromMs: undefined, toMs: undefined, seconds: 60 },
    ]
    expect(secondsOf(stays)).toBe(12 * 60 + 10 * 60 + 60)
  })
})

describe('the lines of a stream', () => {
  const linesOf = async (...pieces: readonly Buffer[]) => {
    const lines = []
    for await (const group of textLines(
      (async function* () {
        yield* pieces
      })(),
    ))
      lines.push(...group)
    return lines
  }

  it('are cut at newlines alone, wherever the pieces are cut', async () => {
    const bytes = Buffer.from('\uFEFF{"a":"é\u2028"}\r\n\n{"b":2}\n{"c":3}')
    const expected = [
      { number: 1, text: '{"a":"é\u2028"}' },
      { number: 3, text: '{"b":2}' },
      { number: 4, text: '{"c":3}' },
    ]
    for (let cut = 0; cut <= bytes.length; cut++) {
      expect(await linesOf(bytes.subarray(0, cut), bytes.subarray(cut))).toEqual(expected)
    }
  })

  it('are refused where they are not UTF-8 or do not end, and the others go on', async () => {
    const lines = await linesOf(
      Buffer.from('{"a":1}\n{"b":"\xff"}\n', 'latin1'),
      ...Array.from({ length: 18 }, () => Buffer.alloc(1024 * 1024, 97)),
      Buffer.from('\n{"c":3}\n'),
    )
    expect(lines.map(({ number, refused }) => [number, refused?.code])).toEqual([
      [1, undefined],
      [2, 'malformed_json'],
      [3, 'line_too_large'],
      [4, undefined],
    ])
  })
})
