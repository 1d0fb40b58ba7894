import { describe, expect, it } from 'vitest'
import { AppendCall, PartitionQueue } from '../../../src/log/append-queue.ts'
import type { Appended, LogFailure } from '../../../src/log/port.ts'
import { bodyOf } from '../../../src/log/record-body.ts'

const limits = { maxBatchBytes: 100, deadline: 1_000 }

const queueWith = (values: readonly string[], bytes = 10) => {
  const queue = new PartitionQueue('t', 0)
  let answer: ReadonlyArray<Appended | LogFailure> | undefined
  const call = new AppendCall(values.length, (outcomes) => {
    answer = outcomes
  })
  values.forEach((value, index) => {
    const content = { key: Buffer.from('k'), value: Buffer.from(value), headers: [] }
    const record = { topic: 't', partition: 0, body: bodyOf(content) }
    queue.add(record, bytes, call, index, limits)
  })
  return { queue, answer: () => answer }
}

describe('the append queue of a partition', () => {
  it('numbers batches on from one another', () => {
    const { queue } = queueWith(Array(25).fill('v'))
    const identities = [1, 2, 3].map(() => queue.start(7n, 0, 'none')?.identity)
    expect(identities).toEqual([
      { producerId: 7n, producerEpoch: 0, baseSequence: 0 },
      { producerId: 7n, producerEpoch: 0, baseSequence: 10 },
      { producerId: 7n, producerEpoch: 0, baseSequence: 20 },
    ])
  })

  it('sends a batch again with the same bytes, and later records behind it', () => {
    const { queue } = queueWith(['a', 'b'])
    const first = queue.start(7n, 0, 'none')!
    const bytes = first.encoded
    queue.inFlight = undefined
    queue.batches.unshift(first)
    queue.add(first.records[0]!, 10, new AppendCall(1, () => undefined), 0, limits)
    expect(queue.start(8n, 99, 'none')).toBe(first)
    expect(first.encoded).toBe(bytes)
    expect(queue.start(7n, 0, 'none')?.identity?.baseSequence).toBe(2)
  })

  it('begins a new epoch at sequence 0 after a batch of which nothing is known', () => {
    const { queue } = queueWith(Array(25).fill('v'))
    queue.start(7n, 0, 'none')
    queue.renew()
    expect(queue.start(7n, 0, 'none')?.identity).toEqual({
      producerId: 7n,
      producerEpoch: 1,
      baseSequence: 0,
    })
  })

  it('asks for another producer id when the epochs are used up', () => {
    const { queue } = queueWith(Array(25).fill('v'))
    queue.start(7n, 0, 'none')
    for (let epoch = 0; epoch < 0x8000; epoch++) queue.renew()
    expect(queue.start(7n, 0, 'none')).toBeUndefined()
    expect(queue.start(8n, 0, 'none')?.identity).toEqual({
      producerId: 8n,
      producerEpoch: 0,
      baseSequence: 0,
    })
  })

  it('answers a call once, when both halves of a batch have their outcome', () => {
    const { queue, answer } = queueWith(['a', 'b', 'c'])
    const [one, other] = queue.start(7n, 0, 'none')!.halves()
    const failure: LogFailure = { failed: true, code: 'record_too_large', detail: '', retriable: false }
    other.fail(failure)
    expect(answer()).toBeUndefined()
    one.succeed('t', 0, 40)
    expect(answer()).toEqual([{ topic: 't', partition: 0, offset: 40 }, failure, failure])
  })
})
