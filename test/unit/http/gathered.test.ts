import type { IncomingMessage } from 'node:http'
import { PassThrough } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { readBody } from '../../../src/http/body.ts'
import { Gathered } from '../../../src/http/gathered.ts'
import { NdjsonLines } from '../../../src/ingest/ndjson.ts'

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc') as () => void

/** Bytes of memory that are still needed. */
const held = () => {
  gc()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

const count = 500_000
/** Each piece in a Buffer of its own would take over a hundred bytes. */
const littleMore = 12 * count

it('what is taken is what was pushed, in order, however it is cut', () => {
  const piece = fc
    .tuple(fc.oneof(fc.nat(10), fc.nat(5_000), fc.constantFrom(4_095, 4_096, 70_000)), fc.nat(255))
    .map(([length, byte]) => Buffer.alloc(length, byte))
  fc.assert(
    fc.property(fc.array(fc.array(piece, { maxLength: 12 }), { maxLength: 3 }), (bodies) => {
      const gathered = new Gathered()
      for (const pieces of bodies) {
        for (const one of pieces) gathered.push(one)
        const whole = Buffer.concat(pieces)
        expect(gathered.length).toBe(whole.length)
        expect(gathered.take().equals(whole)).toBe(true)
        expect(gathered.length).toBe(0)
      }
    }),
    { numRuns: 300 },
  )
})

it('a piece that comes alone is not copied', () => {
  const gathered = new Gathered()
  const piece = Buffer.from('{}')
  gathered.push(piece)
  expect(gathered.take()).toBe(piece)
})

it('a body that comes byte by byte is held in about as much memory as it has bytes', async () => {
  const request = Object.assign(new PassThrough(), { headers: {}, complete: false })
  const body = readBody(request as unknown as IncomingMessage, 'identity', {
    maxBytes: count,
    deadlineMs: 60_000,
  })
  const before = held()
  for (let at = 0; at < count; at++) request.emit('data', Buffer.from([at & 0xff]))
  expect(held() - before).toBeLessThan(littleMore)
  request.emit('end')
  await nextTurn()
  expect((await body).every((byte, at) => byte === (at & 0xff))).toBe(true)
})

it('a line that comes byte by byte is held in about as much memory as it has bytes', () => {
  const values: unknown[] = []
  const lines = new NdjsonLines(
    { line: (value) => values.push(value), refuse: () => values.push('refused'), isFull: false },
    count,
  )
  const before = held()
  for (let at = 0; at < count - 1; at++) lines.push(Buffer.from(at === 0 ? '1' : ' '))
  expect(held() - before).toBeLessThan(littleMore)
  lines.push(Buffer.from('\n'))
  expect(values).toEqual([1])
})
