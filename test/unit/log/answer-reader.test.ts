import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AnswerReader } from '../../../src/log/answer-reader.ts'

const framed = (answers: readonly Uint8Array[]): Buffer =>
  Buffer.concat(
    answers.flatMap((answer) => {
      const length = Buffer.alloc(4)
      length.writeInt32BE(answer.length)
      return [length, answer]
    }),
  )

/** Reads it in pieces of these sizes, over and over, all in the same memory, as a socket does. */
const readInPieces = (bytes: Buffer, sizes: readonly number[]): Buffer[] => {
  const told: Buffer[] = []
  const reader = new AnswerReader((answer) => told.push(Buffer.from(answer)))
  const memory = Buffer.alloc(Math.max(...sizes))
  for (let at = 0, piece = 0; at < bytes.length; piece++) {
    const size = Math.min(sizes[piece % sizes.length]!, bytes.length - at)
    bytes.copy(memory, 0, at, at + size)
    reader.read(memory.subarray(0, size))
    memory.fill(0xee)
    at += size
  }
  return told
}

describe('answers of a broker', () => {
  it('are the same however they are cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 12 }),
        fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 6 }),
        (answers, sizes) => {
          const told = readInPieces(framed(answers), sizes)
          expect(told.map((answer) => [...answer])).toEqual(answers.map((answer) => [...answer]))
        },
      ),
      { seed: 5 },
    )
  })

  it('may be larger than what came before, and smaller again', () => {
    const answers = [10, 300_000, 70_000, 5, 2_000_000, 1].map((size, index) => Buffer.alloc(size, index + 1))
    const told = readInPieces(framed(answers), [65_536])
    expect(told.map((answer, index) => answer.equals(answers[index]!))).toEqual(answers.map(() => true))
  })

  it.each([-1, 1_000_000_000])('are refused with a length of %i', (length) => {
    const bytes = Buffer.alloc(8)
    bytes.writeInt32BE(length)
    expect(() => readInPieces(bytes, [8])).toThrow(expect.objectContaining({ code: 'unexpected_answer' }))
    expect(() => readInPieces(bytes, [3])).toThrow(expect.objectContaining({ code: 'unexpected_answer' }))
  })
})
