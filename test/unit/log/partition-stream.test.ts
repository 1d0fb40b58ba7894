import { describe, expect, it } from 'vitest'
import { encodeBatch } from '../../../src/log/encode-batch.ts'
import { PartitionStream } from '../../../src/log/partition-stream.ts'
import { writeInt64 } from '../../../src/log/record-batch.ts'

/** Two records that stand from `baseOffset` on. */
const batch = (baseOffset: number, text: string): Buffer => {
  const record = { key: Buffer.from('k'), value: Buffer.from(text), headers: [] }
  const bytes = encodeBatch([record, record], 1_000)
  writeInt64(bytes, baseOffset, 0)
  return bytes
}

const answer = (...batches: readonly Buffer[]) => ({
  ...{ topic: 'leads', partition: 0, errorCode: 0, highWatermark: 100 },
  bytes: Buffer.concat(batches),
})

const readUpTo2 = (): PartitionStream => {
  const stream = new PartitionStream('leads', 0, { from: 0, checkCrc: true })
  stream.push(answer(batch(0, 'first')))
  return stream
}

const offsets = async (stream: PartitionStream): Promise<readonly number[]> => {
  const taken = await stream.take(AbortSignal.timeout(1_000), () => {})
  return taken?.records.map(({ offset }) => offset) ?? []
}

describe('a partition that is in doubt', () => {
  it('is asked for its last batch once more, and gives only what comes behind it', async () => {
    const stream = readUpTo2()
    expect(stream.from).toBe(2)
    stream.doubt()
    expect(stream.from).toBe(1)
    stream.push(answer(batch(0, 'first'), batch(2, 'second')))
    expect([await offsets(stream), await offsets(stream)]).toEqual([
      [0, 1],
      [2, 3],
    ])
    expect(stream.from).toBe(4)
  })

  it('is another log where another batch stands there, and nothing of that is given', () => {
    const stream = readUpTo2()
    stream.doubt()
    const other = answer(batch(0, 'other'), batch(2, 'second'))
    expect(() => stream.push(other)).toThrow(expect.objectContaining({ code: 'log_changed' }))
    expect(stream.from).toBe(1)
  })

  it('stays in doubt until that batch has come', () => {
    const stream = readUpTo2()
    stream.doubt()
    stream.push(answer())
    expect(stream.from).toBe(1)
  })

  it('cannot be in doubt before anything was read', () => {
    const stream = new PartitionStream('leads', 0, { from: 7, checkCrc: true })
    stream.doubt()
    expect(stream.from).toBe(7)
  })
})
